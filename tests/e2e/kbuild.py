"""A small tree that is built as Linux is: options in auto.conf and autoconf.h, stamps, exports trimmed in two passes.

Written for these tests; only the names are Kbuild's, so that hashmake recognises them. `core` exports, `mod` needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .project import Project

MAKEFILE = """\
MAKEFLAGS += -rR --no-print-directory
include scripts/Kbuild.include
ifeq ($(filter autoksyms_recursive clean,$(MAKECMDGOALS)),)
include include/config/auto.conf
else
-include include/config/auto.conf
endif
all: linked
include/config/auto.conf: .config scripts/conf.sh
	sh scripts/conf.sh
ksyms := $(if $(CONFIG_TRIM),include/generated/autoksyms.h)
include/generated/autoksyms.h:
	mkdir -p $(@D); sh scripts/gen_autoksyms.sh $@
core mod: $(ksyms)
	$(MAKE) -f scripts/build.mk obj=$@
mod: core
autoksyms_recursive: core mod
ifdef CONFIG_TRIM
	sh scripts/adjust_autoksyms.sh "$(MAKE) -f Makefile autoksyms_recursive"
endif
linked: autoksyms_recursive FORCE
	sh scripts/modpost.sh
clean:
	rm -rf core/*.o core/.*.cmd mod/*.o mod/.*.cmd modules.order linked include/ksym include/generated/autoksyms.h
FORCE:
.PHONY: all core mod autoksyms_recursive clean FORCE
"""
BUILD = """\
.DEFAULT_GOAL := all
-include include/config/auto.conf
include $(obj)/Kbuild
objs := $(addprefix $(obj)/,$(obj-y))
all: $(objs) $(if $(filter mod,$(obj)),modules.order)
-include $(wildcard $(foreach o,$(obj-y),$(obj)/.$(o).cmd))
modules.order: $(objs)
	printf '%s\\n' $(objs) > $@
$(obj)/%.o: $(obj)/%.c
	cc -std=gnu11 -Iinclude -include include/kconfig.h $(flags-$(*F)) -MD -MF $(@D)/.$(@F).d -c -o $@ $<
	sh scripts/fixdep.sh $@ $(@D)/.$(@F).d > $(@D)/.$(@F).cmd; rm $(@D)/.$(@F).d
	sh scripts/ksymdeps.sh $@ >> $(@D)/.$(@F).cmd
"""
CONF = """\
set -e
mkdir -p include/config include/generated
sed -n 's/^\\(CONFIG_[A-Z0-9_]*\\)=y$/#define \\1 1/p; s/^\\(CONFIG_[A-Z0-9_]*\\)=m$/#define \\1_MODULE 1/p' .config \\
	> include/generated/autoconf.h
for name in $(sed -n 's/^CONFIG_\\([A-Z0-9_]*\\)=.*/\\1/p' .config); do : > include/config/$name; done
cp .config include/config/auto.conf
"""
# The dependency on options that a file mentions, and not on the table of them.
FIXDEP = """\
files=$(tr -d '\\\\\\n' < $2 | sed 's/^[^:]*://; s/include\\/generated\\/[a-z]*\\.h//g')
echo "$1: $files"
cat $files | tr -c 'A-Z0-9_' '\\n' | sort -u | sed -n "s|^CONFIG_\\(.*\\)|$1: \\$(wildcard include/config/\\1)|p"
for file in $files; do echo "$file:"; done
"""
KSYMDEPS = """\
nm $1 | sed -n "s|.*__ksym_marker_\\(.*\\)|$1: \\$(wildcard include/ksym/\\1)|p"
"""
GENERATE = """\
set -e
order=
[ "$1" != --modorder ] || { order=modules.order; shift; }
{
	echo "/* made */"
	{
		[ -z "$order" ] || nm -u $(cat $order) | sed -n 's/^ *U //p'
		[ ! -e whitelist ] || cat whitelist
	} | sort -u | sed 's/\\(.*\\)/#define __KSYM_\\1 1/'
} > $1
"""
ADJUST = """\
set -e
old=include/generated/autoksyms.h
new=$old.tmpnew
sh scripts/gen_autoksyms.sh --modorder $new
sort $old $new | uniq -u | sed -n 's/^#define __KSYM_\\(.*\\) 1/\\1/p' > changed
while read -r name; do
	mkdir -p include/ksym
	touch include/ksym/$name
	GUARD
done < changed
if [ -s changed ]; then
	rm changed
	mv -f $new $old
	exec $@
fi
rm -f $new changed
"""
GUARD = "while [ ! include/ksym/$name -nt $new ]; do touch include/ksym/$name; done"
MODPOST = """\
set -e
needed=$(nm -u $(cat modules.order) | sed -n 's/^ *U //p' | sort -u)
nm core/*.o | sed -n 's/.*__ksymtab_//p' | sort > exported
for name in $needed; do
	grep -q "^$name\\$" exported || { echo "ERROR: $name undefined!" >&2; rm exported; exit 1; }
done
if grep -q "^CONFIG_TRIM=y" include/config/auto.conf; then cp exported linked; else echo untrimmed > linked; fi
rm exported
"""
KCONFIG_H = """\
#include <generated/autoconf.h>
#define PROBE_1 0,
#define SECOND(ignored, value, ...) value
#define __is_defined(x) PROBE(x)
#define PROBE(value) PROBE_(PROBE_##value)
#define PROBE_(pair) SECOND(pair 1, 0)
#define IS_ENABLED(option) (__is_defined(option) || __is_defined(option##_MODULE))
"""
EXPORT_H = """\
#ifdef CONFIG_TRIM
#include <generated/autoksyms.h>
#define EXPORT_SYMBOL(sym) static int __ksym_marker_##sym[0] __attribute__((section(".discard.ksym"), used)); \\
	EXPORT_IF(sym, __is_defined(__KSYM_##sym))
#else
#define EXPORT_SYMBOL(sym) EXPORT_1(sym)
#endif
#define EXPORT_IF(sym, on) EXPORT_IF_(sym, on)
#define EXPORT_IF_(sym, on) EXPORT_##on(sym)
#define EXPORT_0(sym)
#define EXPORT_1(sym) const void *__ksymtab_##sym __attribute__((section("___ksymtab+" #sym))) = &sym;
"""
EXPORTS = "#include <linux/export.h>\nint {0}(void) {{ return {1}; }}\nEXPORT_SYMBOL({0})\n"
CONFIG = "CONFIG_TRIM=y\nCONFIG_RED=y\nCONFIG_BLUE=m\nCONFIG_NET_FAST=y\n"


def fill(project: Project, guard: str = "") -> None:
    """Write the tree: core exports alpha to epsilon, one object each; mod needs alpha and beta."""
    project.write("Makefile", MAKEFILE)
    project.write(".config", CONFIG)
    project.write("scripts/Kbuild.include", "# nothing here\n")
    for name, text in (
        ("build.mk", BUILD),
        ("conf.sh", CONF),
        ("fixdep.sh", FIXDEP),
        ("ksymdeps.sh", KSYMDEPS),
        ("gen_autoksyms.sh", GENERATE),
        ("adjust_autoksyms.sh", ADJUST.replace("GUARD", guard or ":")),
        ("modpost.sh", MODPOST),
    ):
        project.write(f"scripts/{name}", text)
    project.write("include/kconfig.h", KCONFIG_H)
    project.write("include/linux/export.h", EXPORT_H)
    names = ("alpha", "beta", "kappa", "delta", "epsilon")
    for at, name in enumerate(names):
        project.write(f"core/{name}.c", EXPORTS.format(name, at))
    project.write("core/red.c", "#ifdef CONFIG_RED\nint red;\n#endif\n")
    project.write("core/blue.c", "int blue = IS_ENABLED(CONFIG_BLUE);\n")
    project.write("core/net.c", "#define ON(x) IS_ENABLED(CONFIG_NET_##x)\nint net = ON(FAST);\n")
    project.write("core/Kbuild", "obj-y := " + " ".join(f"{name}.o" for name in (*names, "red", "blue", "net")) + "\n")
    project.write("mod/one.c", "int alpha(void);\nint one(void) { return alpha(); }\n")
    project.write("mod/two.c", "int beta(void);\nint two(void) { return beta(); }\n")
    project.write("mod/Kbuild", "obj-y := one.o two.o\n")


def compiled(runs: list[str]) -> list[str]:
    """The objects that were compiled, in the order in which they were."""
    return [line.split(" -o ")[1].split()[0] for line in runs if line.startswith("cc ")]
