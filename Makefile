# consuld: build, check, run, install. See README.md.
#
#	make			everything into build/ (a tree with the layout of an installation)
#	make run		packages, build, and a one-node agent with its UI
#	make check		packages, build with sanitizers, all tests; ends in "N passed, N failed"
#	make unit|fuzz|sim|sim-cluster|bats|browser|lint	parts of it
#	make fuzz-long		libFuzzer looks for new inputs, a minute for each target
#	make sim-long		the simulation of whole servers for two hours; again: goes on
#	make torture		real clusters under faults for an hour; torture-planted: known mistakes are found by it
#	make bench		figures beside their references
#	make install DESTDIR= PREFIX=/usr/local
#	make format		clang-format over all sources
#
# SANITIZER=address,undefined builds into build-address-undefined/ instead of build/; V=1 shows the commands.

SHELL = /bin/bash
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

VERSION = 0.1.0
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
CC = gcc
CLANG ?= clang
empty =
comma = ,
SANITIZER ?=
BUILD = build$(if $(SANITIZER),-$(subst $(comma),-,$(SANITIZER)))

Q = $(if $(V),,@)
WARNINGS = -Wall -Wextra -Werror -Wmissing-prototypes -Wstrict-prototypes -Wshadow -Wpointer-arith -Wwrite-strings -Wvla -Wno-missing-field-initializers
CFLAGS ?= -O2 -g
CFLAGS_ALL = -std=c11 -D_GNU_SOURCE $(WARNINGS) $(CFLAGS) -fno-strict-aliasing -fstack-protector-strong -fPIE -DCONSULD_VERSION='"$(VERSION)"'
LDFLAGS_ALL = $(LDFLAGS) -pie -Wl,-z,relro,-z,now -Wl,--as-needed
ifneq ($(SANITIZER),)
CFLAGS_ALL += -fsanitize=$(SANITIZER) -fno-sanitize-recover=all -fno-omit-frame-pointer -DCONSULD_SANITIZED
LDFLAGS_ALL += -fsanitize=$(SANITIZER)
else
CFLAGS_ALL += -D_FORTIFY_SOURCE=2
endif

# One room, one folder; its sources.mk lists SOURCES_<room> and LIBS_<room>, all of them but main.c go into a library for the tests.
DAEMONS = raftd catalogd httpd dnsd checkd gossipd
ROOMS = common consuld consulctl $(DAEMONS)
include $(foreach room,$(ROOMS),$(room)/sources.mk)

# Programs: <place in the tree>/<program>, by room. A room may have helper programs (HELPERS_<room>), each with a source of its own.
PROGRAMS = $(BUILD)/sbin/consuld $(BUILD)/bin/consulctl $(foreach d,$(DAEMONS),$(BUILD)/libexec/consuld/$(d)) \
	$(foreach room,$(ROOMS),$(foreach h,$(HELPERS_$(room)),$(BUILD)/libexec/consuld/$(h)))

all: $(PROGRAMS) $(BUILD)/bin/consul $(BUILD)/consulctl $(BUILD)/consul $(BUILD)/share

objects = $(patsubst %.c,$(BUILD)/obj/$(1)/%.o,$(filter-out main.c,$(SOURCES_$(1))))

define room_rules
$(BUILD)/obj/$(1)/%.o: $(1)/%.c $(1)/sources.mk Makefile
	@mkdir -p $$(@D)
	@echo "  CC    $$<"
	$(Q)$$(CC) $$(CFLAGS_ALL) $$(CFLAGS_$(1)) -Icommon -I$(1) -MMD -MP -c -o $$@ $$<
$(BUILD)/lib/$(1).a: $(call objects,$(1))
	@mkdir -p $$(@D)
	@rm -f $$@
	$(Q)ar rcs $$@ $$^
-include $(patsubst %.o,%.d,$(call objects,$(1)) $(BUILD)/obj/$(1)/main.d)
$(foreach h,$(HELPERS_$(1)),-include $(BUILD)/obj/$(1)/$(subst -,_,$(h)).d
$(BUILD)/libexec/consuld/$(h): $(BUILD)/obj/$(1)/$(subst -,_,$(h)).o $(BUILD)/lib/$(1).a $(BUILD)/lib/common.a
	@mkdir -p $$(@D)
	@echo "  LINK  $$@"
	$(Q)$$(CC) $$(LDFLAGS_ALL) -o $$@ $$^ $$(LIBS_$(h)) $$(LIBS_common)
)
endef
$(foreach room,$(ROOMS),$(eval $(call room_rules,$(room))))

define program_rule
$(2): $(BUILD)/obj/$(1)/main.o $(BUILD)/lib/$(1).a $(BUILD)/lib/common.a
	@mkdir -p $$(@D)
	@echo "  LINK  $$@"
	$(Q)$$(CC) $$(LDFLAGS_ALL) -o $$@ $$^ $$(LIBS_$(1)) $$(LIBS_common)
endef
$(eval $(call program_rule,consuld,$(BUILD)/sbin/consuld))
$(eval $(call program_rule,consulctl,$(BUILD)/bin/consulctl))
$(foreach d,$(DAEMONS),$(eval $(call program_rule,$(d),$(BUILD)/libexec/consuld/$(d))))

$(BUILD)/bin/consul: | $(BUILD)/bin/consulctl
	ln -sf consulctl $@
$(BUILD)/consulctl $(BUILD)/consul: | $(BUILD)/bin/consulctl
	ln -sf bin/consulctl $@
# UI files and the suite's own configuration lie where an installation has them.
$(BUILD)/share: Makefile
	@mkdir -p $@ $(BUILD)/etc
	ln -sfn $(CURDIR)/httpd/ui $@/consuld-ui
	ln -sfn $(CURDIR)/etc/consuld.conf $(BUILD)/etc/consuld.conf

include test/test.mk

run: packages-build
	$(MAKE) -s -j$$(nproc) all
	@echo "consuld: one server on this machine, UI on http://127.0.0.1:8500/ui/, Ctrl-C ends it"
	$(BUILD)/bin/consulctl agent -dev $(RUN_FLAGS)

packages-build:
	packaging/packages build

# Owners and modes: root's, 0755 and 0644, as install(1) gives them; state directories are made by the units (etc/tmpfiles.d).
install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/libexec/consuld $(DESTDIR)$(PREFIX)/share/consuld-ui \
		$(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man5 $(DESTDIR)$(PREFIX)/share/man/man7 $(DESTDIR)$(PREFIX)/share/man/man8 \
		$(DESTDIR)$(PREFIX)/etc $(DESTDIR)$(PREFIX)/share/consuld
	install -m 0755 $(BUILD)/bin/consulctl $(DESTDIR)$(PREFIX)/bin/
	ln -sf consulctl $(DESTDIR)$(PREFIX)/bin/consul
	install -m 0755 $(BUILD)/sbin/consuld $(DESTDIR)$(PREFIX)/sbin/
	install -m 0755 $(filter $(BUILD)/libexec/consuld/%,$(PROGRAMS)) $(DESTDIR)$(PREFIX)/libexec/consuld/
	cp -R httpd/ui/. $(DESTDIR)$(PREFIX)/share/consuld-ui/
	install -m 0644 etc/consuld.conf $(DESTDIR)$(PREFIX)/etc/
	cp -R etc/. $(DESTDIR)$(PREFIX)/share/consuld/
	sed -i 's|/usr/local/|$(PREFIX)/|g' $(DESTDIR)$(PREFIX)/share/consuld/systemd/*.service
	for page in man/*.[1578]; do install -m 0644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/; done

format:
	clang-format -i $$(git ls-files '*.c' '*.h')

clean:
	rm -rf build build-*

.PHONY: all run packages-build install format clean
