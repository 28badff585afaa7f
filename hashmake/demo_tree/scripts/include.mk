# if_changed and friends: run a command when a prerequisite is newer, or when the command itself is another one than
# the one noted in .TARGET.cmd.
cmdfile = $(dir $@).$(notdir $@).cmd
same = $(and $(findstring <$(strip $(1))>,<$(strip $(2))>),$(findstring <$(strip $(2))>,<$(strip $(1))>))
stale = $(filter-out $(PHONY),$?)$(if $(wildcard $@),,absent)$(if $(call same,$(saved_$@),$(cmd_$(1))),,command)

define if_changed
	$(if $(call stale,$(1)),@set -e; echo '  $(quiet_$(1))'; $(cmd_$(1)); echo 'saved_$@ := $(cmd_$(1))' > $(cmdfile),@:)
endef

# The same for compilers: the dependencies that they write pass through fixdep.
define if_changed_dep
	$(if $(call stale,$(1)),@set -e; echo '  $(quiet_$(1))'; $(cmd_$(1)); \
	scripts/fixdep $(@:.o=.d) $@ '$(cmd_$(1))' > $(cmdfile); rm -f $(@:.o=.d),@:)
endef

# Generate into a temporary file, and replace the target only when its content is another one.
define filechk
	$(Q)mkdir -p $(dir $@); { $(filechk_$(1)); } > $@.tmp; \
	if [ -r $@ ] && cmp -s $@ $@.tmp; then rm -f $@.tmp; else echo '  GEN     $@'; mv -f $@.tmp $@; fi
endef
