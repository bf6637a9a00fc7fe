/* SPDX-License-Identifier: MIT */
/* What a program that was loaded finds when it starts: fields, auxiliary vector, stack. */
#include <linux/auxvec.h>
#include <linux/elf.h>

#include "rst.h"

#define WORD sizeof(uint64_t)

void cr_rst_elf_fields(const struct cr_rst_elf *program, struct cr_rst_mm_map *map)
{
	map->start_code = program->start_code;
	map->end_code = program->end_code;
	map->start_data = program->start_data;
	map->end_data = program->end_data;
	map->start_brk = program->end;
	map->brk = program->end;
}

int64_t cr_rst_elf_auxv(const struct cr_rst_elf *program, const struct cr_rst_elf *interpreter,
			const char *name, uint64_t *auxv)
{
	const uint64_t entries[][2] = {
		{ AT_PHDR, program->phdr },
		{ AT_PHENT, sizeof(struct elf64_phdr) },
		{ AT_PHNUM, program->phdr ? program->phnum : 0 },
		{ AT_ENTRY, program->entry },
		{ AT_BASE, interpreter ? interpreter->bias : 0 },
		{ AT_EXECFN, (uintptr_t)name },
	};
	uint64_t ignored;

	for (unsigned int i = 0; i < sizeof(entries) / sizeof(entries[0]); i++)
		if (cr_rst_auxv_get(auxv, entries[i][0], &ignored) < 0)
			return -ENOENT;
	for (unsigned int i = 0; i < sizeof(entries) / sizeof(entries[0]); i++)
		cr_rst_auxv_set(auxv, entries[i][0], entries[i][1]);
	return 0;
}

/* --- the stack -------------------------------------------------------------------------------- */

static size_t length(const char *word)
{
	size_t n = 0;

	while (word[n])
		n++;
	return n + 1;
}

static size_t count(const char *const *words, size_t *bytes)
{
	size_t n = 0;

	for (; words[n]; n++)
		*bytes += length(words[n]);
	return n;
}

static size_t auxv_words(const uint64_t *auxv)
{
	size_t n = 0;

	while (auxv[n] != AT_NULL)
		n += 2;
	return n + 2;
}

static size_t words_of(const char *const *argv, const char *const *envp, const uint64_t *auxv,
		       size_t *bytes)
{
	*bytes = 0;
	return 1 + count(argv, bytes) + 1 + count(envp, bytes) + 1 + auxv_words(auxv);
}

int64_t cr_rst_stack_size(const char *const *argv, const char *const *envp, const uint64_t *auxv)
{
	size_t bytes;
	size_t words = words_of(argv, envp, auxv, &bytes);

	return (int64_t)(words * WORD + bytes + 2 * RST_STACK_ALIGN);
}

/* Copies the words to *to, which goes on behind them, and their addresses, with a 0, to `table`. */
static uint64_t *copy_words(const char *const *words, char **to, uint64_t *table)
{
	for (; *words; words++) {
		size_t n = length(*words);

		*table++ = (uintptr_t)*to;
		memcpy(*to, *words, n);
		*to += n;
	}
	*table++ = 0;
	return table;
}

int64_t cr_rst_stack_build(uint64_t low, uint64_t top, const char *const *argv,
			   const char *const *envp, const uint64_t *auxv, struct cr_rst_mm_map *map)
{
	size_t bytes;
	size_t words = words_of(argv, envp, auxv, &bytes);

	if (top < low || top - low < words * WORD + bytes + 2 * RST_STACK_ALIGN)
		return -E2BIG;

	char *text = (char *)(uintptr_t)((top - bytes) & ~(RST_STACK_ALIGN - 1));
	uint64_t stack = ((uintptr_t)text - words * WORD) & ~(RST_STACK_ALIGN - 1);
	uint64_t *first = (uint64_t *)(uintptr_t)stack, *word;

	map->start_stack = stack;
	map->arg_start = (uintptr_t)text;
	word = copy_words(argv, &text, first + 1);
	*first = (uint64_t)(word - first) - 2; /* without itself and the 0 */
	map->arg_end = map->env_start = (uintptr_t)text;
	word = copy_words(envp, &text, word);
	map->env_end = (uintptr_t)text;
	map->auxv = (uintptr_t)word;
	map->auxv_size = (uint32_t)(auxv_words(auxv) * WORD);
	memcpy(word, auxv, map->auxv_size);
	return (int64_t)stack;
}

int64_t cr_rst_stack_protect(int maps_fd, uint64_t address, uint32_t prot)
{
	struct cr_rst_mapping at;
	int64_t result = cr_rst_mapping_at(maps_fd, address, &at);

	if (result < 0 || at.prot == prot)
		return result;
	return rst_call3(__NR_mprotect, at.start, at.end - at.start, prot);
}

void cr_rst_jump(uint64_t stack, uint64_t entry)
{
	rst_jump(stack, entry);
}
