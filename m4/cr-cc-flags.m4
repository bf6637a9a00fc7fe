# SPDX-License-Identifier: MIT
# CR_CC_FLAGS(VARIABLE, FLAGS)
# Sets VARIABLE to those of FLAGS that the compiler takes, each tried alone, and substitutes it.
AC_DEFUN([CR_CC_FLAGS], [
	$1=
	for cr_flag in m4_normalize([$2]); do
		AS_VAR_PUSHDEF([cr_var], [cr_cv_cc_flag_$cr_flag])
		AC_CACHE_CHECK([whether $CC takes $cr_flag], [cr_var],
			[cr_saved_CFLAGS=$CFLAGS
			CFLAGS="$CFLAGS -Werror $cr_flag"
			AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])],
				[AS_VAR_SET([cr_var], [yes])], [AS_VAR_SET([cr_var], [no])])
			CFLAGS=$cr_saved_CFLAGS])
		AS_VAR_IF([cr_var], [yes], [$1="$$1 $cr_flag"])
		AS_VAR_POPDEF([cr_var])
	done
	AC_SUBST([$1])
])
