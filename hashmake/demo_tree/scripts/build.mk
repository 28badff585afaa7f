# Builds one directory, given as dir=: its objects into built-in.a (a thin archive) or lib.a, directories below first.
PHONY := build
build:

include include/config/auto.conf
include scripts/include.mk
obj-y :=
lib-y :=
include $(dir)/Makefile

below := $(patsubst %/,$(dir)/%,$(filter %/,$(obj-y)))
objects := $(addprefix $(dir)/,$(filter %.o,$(obj-y)))
libobjects := $(addprefix $(dir)/,$(lib-y))
archive := $(if $(lib-y),$(dir)/lib.a,$(dir)/built-in.a)

build: $(archive)

quiet_cc = CC      $@
cmd_cc = $(CC) $(CFLAGS) -MMD -MF $(@:.o=.d) -c -o $@ $<
$(dir)/%.o: $(dir)/%.c FORCE
	$(call if_changed_dep,cc)

PHONY += $(below)
$(below):
	$(Q)$(MAKE) -f scripts/build.mk dir=$@
$(addsuffix /built-in.a,$(below)): $(below) ;

quiet_thin = AR      $@
cmd_thin = rm -f $@; $(AR) cDPrST $@ $(addsuffix /built-in.a,$(below)) $(objects)
$(dir)/built-in.a: $(addsuffix /built-in.a,$(below)) $(objects) FORCE
	$(call if_changed,thin)

quiet_lib = AR      $@
cmd_lib = rm -f $@; $(AR) cDrs $@ $(libobjects)
$(dir)/lib.a: $(libobjects) FORCE
	$(call if_changed,lib)

-include $(wildcard $(foreach t,$(objects) $(libobjects) $(archive),$(dir $(t)).$(notdir $(t)).cmd))

PHONY += FORCE
FORCE:
.PHONY: $(PHONY)
