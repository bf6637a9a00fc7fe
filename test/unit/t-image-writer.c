/* SPDX-License-Identifier: MIT */
/* How the folder of an image comes about: partial, published, replaced by force, spared. */
#include <errno.h>
#include <sys/wait.h>

#include "base/str.h"
#include "image-room.h"

static void nothing_is_there_before_publish(void)
{
	struct image_writer *w;
	Manifest m = manifest();
	struct error e = { 0 };

	start_afresh();
	CU_ASSERT_EQUAL_FATAL(image_create(&w, "image", false, false, &e), 0);
	CU_ASSERT(is_there("image.partial") && !is_there("image"));
	CU_ASSERT_EQUAL(put_all(w, &e), 0);
	CU_ASSERT_EQUAL(image_finish(w, &m, &e), 0);
	CU_ASSERT(is_there("image.partial/manifest") && !is_there("image"));
	image_close(w, false);
	CU_ASSERT(!is_there("image.partial") && !is_there("image"));
	CU_ASSERT_EQUAL_FATAL(image_create(&w, "image", false, false, &e), 0);
	image_close(w, true);
	CU_ASSERT(is_there("image.partial"));
	image_close(NULL, false);
}

static void an_existing_image_is_refused(void)
{
	struct error e = { 0 };

	make_image();
	CU_ASSERT_EQUAL(write_image("image", false, false, &e), -EEXIST);
	CU_ASSERT_STRING_EQUAL(e.text, "image (--force replaces it): File exists");
	CU_ASSERT(!is_there("image.partial"));
	start_afresh();
	write_all("image", "", 0);
	CU_ASSERT_EQUAL(write_image("image", true, false, &e), -EEXIST);
	CU_ASSERT_STRING_EQUAL(e.text, "image (not a folder): File exists");
	unlink("image");
	CU_ASSERT_EQUAL(symlink("/tmp", "image"), 0);
	CU_ASSERT_EQUAL(write_image("image", true, false, &e), -EEXIST);
	unlink("image");
}

static ino_t inode(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_ino : 0;
}

static void force_replaces_at_the_end(void)
{
	struct image_writer *w;
	Manifest m = manifest();
	struct image img;
	struct error e = { 0 };
	ino_t old;

	make_image();
	old = inode("image");
	CU_ASSERT_EQUAL_FATAL(image_create(&w, "image", true, false, &e), 0);
	CU_ASSERT_EQUAL(image_finish(w, &m, &e), 0);
	CU_ASSERT_EQUAL(inode("image"), old);
	CU_ASSERT_EQUAL(image_publish(w, &e), 0);
	image_close(w, false);
	CU_ASSERT(inode("image") != old && !is_there("image.partial"));
	CU_ASSERT_EQUAL_FATAL(open_image(&img, &e), 0);
	CU_ASSERT_EQUAL(img.records.n, 0);
	image_free(&img);
	start_afresh();
	CU_ASSERT_EQUAL(write_image("image", true, true, &e), 0); /* nothing there to replace */
}

static void force_spares_strangers(void)
{
	struct image_writer *w;
	Manifest m = manifest();
	struct error e = { 0 };

	start_afresh();
	CU_ASSERT_EQUAL(mkdir("image", 0700), 0);
	CU_ASSERT_EQUAL(write_image("image", true, false, &e), -EINVAL);
	CU_ASSERT_STRING_EQUAL(
		e.text, "image is not replaced: it has no manifest, so it is not an image of cr");
	make_image();
	write_all("image/thesis.tex", "x", 1);
	CU_ASSERT_EQUAL(write_image("image", true, false, &e), -ENOTEMPTY);
	CU_ASSERT(strstr(e.text, "it holds thesis.tex, which no image has") != NULL);
	CU_ASSERT(is_there("image/thesis.tex") && is_there("image/manifest"));
	/* and also when it comes while the dump runs */
	make_image();
	CU_ASSERT_EQUAL_FATAL(image_create(&w, "image", true, false, &e), 0);
	write_all("image/pages-16", "x", 1);
	CU_ASSERT_EQUAL(image_finish(w, &m, &e), 0);
	CU_ASSERT_EQUAL(image_publish(w, &e), -ENOTEMPTY);
	image_close(w, false);
	CU_ASSERT(is_there("image/pages-16") && is_there("image/manifest") &&
		  !is_there("image.partial"));
}

static void a_leftover_is_replaced(void)
{
	struct error e = { 0 };

	start_afresh();
	CU_ASSERT_EQUAL(mkdir("image.partial", 0700), 0);
	write_all("image.partial/objects", "x", 1);
	write_all("image.partial/pages-15", "x", 1);
	CU_ASSERT_EQUAL(write_image("image", false, false, &e), 0);
	CU_ASSERT(!is_there("image/pages-15") && !is_there("image.partial"));
}

static void a_strangers_partial_is_spared(void)
{
	struct error e = { 0 };

	start_afresh();
	CU_ASSERT_EQUAL(mkdir("image.partial", 0700), 0);
	write_all("image.partial/objects", "x", 1);
	write_all("image.partial/notes", "x", 1);
	CU_ASSERT_EQUAL(write_image("image", false, false, &e), -ENOTEMPTY);
	CU_ASSERT(str_starts(e.text,
			     "image.partial is in the way: it holds notes, which no image has"));
	CU_ASSERT(is_there("image.partial/notes") && is_there("image.partial/objects"));
	start_afresh();
	write_all("image.partial", "x", 1);
	CU_ASSERT(write_image("image", false, false, &e) < 0);
	CU_ASSERT(is_there("image.partial"));
}

static void two_dumps_do_not_meet(void)
{
	struct image_writer *w, *second = NULL;
	struct error e = { 0 };

	start_afresh();
	CU_ASSERT_EQUAL_FATAL(image_create(&w, "image", false, false, &e), 0);
	CU_ASSERT_EQUAL(put_all(w, &e), 0);
	CU_ASSERT_EQUAL(image_create(&second, "image", false, false, &e), -EBUSY);
	CU_ASSERT(str_starts(e.text, "image.partial: another dump is writing it"));
	CU_ASSERT(is_there("image.partial/pages-0"));
	image_close(w, false);
	CU_ASSERT_EQUAL(write_image("image", false, false, &e), 0);
}

static void another_process_publishes(void)
{
	struct image_writer *w;
	Manifest m = manifest();
	struct image img;
	struct error e = { 0 };
	int status = -1;
	pid_t pid;

	start_afresh();
	CU_ASSERT_EQUAL_FATAL(image_create(&w, "image", false, true, &e), 0);
	pid = fork();
	if (pid == 0) {
		int go = 0;

		for (int i = 0; i < 10000 && !go; i++) {
			go = access("image.partial/manifest", F_OK) == 0;
			usleep(1000);
		}
		_exit(image_publish(w, &e) != 0);
	}
	CU_ASSERT_EQUAL(put_all(w, &e), 0);
	CU_ASSERT_EQUAL(image_finish(w, &m, &e), 0);
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	CU_ASSERT_EQUAL(mkdir("image.partial", 0700), 0); /* of the next dump */
	image_close(w, false);
	CU_ASSERT(is_there("image.partial"));
	CU_ASSERT_EQUAL(open_image(&img, &e), 0);
	image_free(&img);
}

static void publish_replaces_nothing_unasked(void)
{
	struct image_writer *w;
	Manifest m = manifest();
	struct error e = { 0 };

	start_afresh();
	CU_ASSERT_EQUAL_FATAL(image_create(&w, "image", false, false, &e), 0);
	CU_ASSERT_EQUAL(image_finish(w, &m, &e), 0);
	CU_ASSERT_EQUAL(mkdir("image", 0700), 0);
	CU_ASSERT_EQUAL(image_publish(w, &e), -EEXIST);
	image_close(w, false);
	CU_ASSERT(is_there("image") && !is_there("image/manifest") && !is_there("image.partial"));
}

static void names_of_folders(void)
{
	char absolute[64];
	struct error e = { 0 };

	start_afresh();
	CU_ASSERT_EQUAL(write_image("image///", false, true, &e), 0);
	CU_ASSERT(is_there("image/manifest"));
	start_afresh();
	snprintf(absolute, sizeof(absolute), "%s/image/", folder);
	CU_ASSERT_EQUAL(write_image(absolute, false, false, &e), 0);
	CU_ASSERT(is_there("image/manifest"));
	CU_ASSERT_EQUAL(write_image("image/inner", false, false, &e), 0);
	CU_ASSERT(is_there("image/inner/manifest"));
	CU_ASSERT_EQUAL(write_image("nowhere/image", false, false, &e), -ENOENT);
	CU_ASSERT_STRING_EQUAL(
		e.text,
		"nowhere/image: open the folder it is to lie in: No such file or directory");
	CU_ASSERT_EQUAL(write_image("/", false, false, &e), -EINVAL);
	CU_ASSERT_EQUAL(write_image(".", false, false, &e), -EINVAL);
	CU_ASSERT_EQUAL(write_image("image/..", false, false, &e), -EINVAL);
	CU_ASSERT_EQUAL(write_image("", false, false, &e), -EINVAL);
	CU_ASSERT_STRING_EQUAL(e.text, "'' is no name for a new folder");
}

static CU_TestInfo folder_tests[] = {
	{ "nothing is there before it is published", nothing_is_there_before_publish },
	{ "an existing image is refused", an_existing_image_is_refused },
	{ "force replaces, at the end", force_replaces_at_the_end },
	{ "force spares strangers", force_spares_strangers },
	{ "a leftover is replaced", a_leftover_is_replaced },
	{ "a stranger's DIR.partial is spared", a_strangers_partial_is_spared },
	{ "two dumps do not meet", two_dumps_do_not_meet },
	{ "another process publishes", another_process_publishes },
	{ "publish replaces nothing unasked", publish_replaces_nothing_unasked },
	{ "names of folders", names_of_folders },
	CU_TEST_INFO_NULL,
};
static CU_SuiteInfo suites[] = {
	{ "folder", make_folder, remove_folder, NULL, NULL, folder_tests },
	CU_SUITE_INFO_NULL,
};

int main(void)
{
	return tap_run(suites);
}
