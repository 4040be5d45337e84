# Tests. test/unit/<room>_<subject>_test.c and test/sim/<room>_<subject>_sim.c link against their room's library and common;
# test/fuzz/<room>_<subject>_fuzz.c is a libFuzzer target with its corpus in test/fuzz/corpus/<room>_<subject>/.

TEST_ROOM = $(firstword $(subst _, ,$(notdir $(1))))
UNIT_TESTS = $(patsubst test/unit/%.c,$(BUILD)/test/%,$(wildcard test/unit/*_test.c))
SIM_SUITE = $(BUILD)/test/suite_cluster_sim
SIM_TESTS = $(filter-out $(SIM_SUITE),$(patsubst test/sim/%.c,$(BUILD)/test/%,$(wildcard test/sim/*_sim.c)))
FUZZ_TESTS = $(patsubst test/fuzz/%.c,$(BUILD)/test/%,$(wildcard test/fuzz/*_fuzz.c))

define test_rule
$(BUILD)/test/$(notdir $(basename $(1))): $(1) $(BUILD)/lib/$(call TEST_ROOM,$(1)).a $(BUILD)/lib/common.a
	@mkdir -p $$(@D)
	@echo "  CC    $$<"
	$(Q)$$(CC) $$(CFLAGS_ALL) -Icommon -I$(call TEST_ROOM,$(1)) -Itest/unit -DTEST_DATA='"$(CURDIR)/test/data"' -MMD -MP -o $$@ $$< $$(LDFLAGS_ALL) $(BUILD)/lib/$(call TEST_ROOM,$(1)).a $(BUILD)/lib/common.a $$(LIBS_$(call TEST_ROOM,$(1))) $$(LIBS_common) -lcmocka
-include $(BUILD)/test/$(notdir $(basename $(1))).d
endef
$(foreach t,$(wildcard test/unit/*_test.c) $(filter-out test/sim/suite_%,$(wildcard test/sim/*_sim.c)),$(eval $(call test_rule,$(t))))

# test/sim/suite_<subject>_sim.c simulates whole servers (test/sim/cluster): raftd's and catalogd's libraries both. The planted one compiles Raft's core itself.
SUITE_SOURCES = $(wildcard test/sim/cluster/*.c)
$(BUILD)/test/suite_planted_sim: SUITE_EXTRA = -DSIM_PLANTS -include test/sim/cluster/plant.h $(wildcard raftd/raft*.c)
$(BUILD)/test/suite_%: test/sim/suite_%.c $(SUITE_SOURCES) $(wildcard test/sim/*.h test/sim/cluster/*.h raftd/*.[ch] catalogd/*.h common/*.h) test/unit/raftd_disk.h $(BUILD)/lib/raftd.a $(BUILD)/lib/catalogd.a $(BUILD)/lib/common.a
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(CFLAGS_ALL) -Icommon -Iraftd -Icatalogd -Itest/unit -Itest/sim/cluster -o $@ $< $(SUITE_SOURCES) $(SUITE_EXTRA) $(LDFLAGS_ALL) $(BUILD)/lib/raftd.a $(BUILD)/lib/catalogd.a $(BUILD)/lib/common.a $(LIBS_raftd) $(LIBS_catalogd) $(LIBS_common)

# Fuzz targets run over their corpus with a small driver of ours (any compiler); `make fuzz-long` builds them with libFuzzer and looks for new
# inputs, FUZZ_SECONDS for each (ONLY=gossipd: those of a room).
FUZZ_DRIVER = $(if $(findstring fuzzer,$(SANITIZER)),-fsanitize=fuzzer,test/fuzz/driver.c)
define fuzz_rule
$(BUILD)/test/$(notdir $(basename $(1))): $(1) test/fuzz/driver.c $(BUILD)/lib/$(call TEST_ROOM,$(1)).a $(BUILD)/lib/common.a
	@mkdir -p $$(@D)
	@echo "  CC    $$<"
	$(Q)$$(CC) $$(CFLAGS_ALL) -Wno-missing-prototypes -Icommon -I$(call TEST_ROOM,$(1)) -MMD -MP -o $$@ $$< $(FUZZ_DRIVER) $$(LDFLAGS_ALL) $(BUILD)/lib/$(call TEST_ROOM,$(1)).a $(BUILD)/lib/common.a $$(LIBS_$(call TEST_ROOM,$(1))) $$(LIBS_common)
endef
$(foreach t,$(wildcard test/fuzz/*_fuzz.c),$(eval $(call fuzz_rule,$(t))))

# Load generators of `make bench`, and of its short form in `make check`.
BENCH_SOURCES = test/bench/client.c test/bench/questions.c
BENCH_CLIENTS = $(patsubst test/bench/%.c,$(BUILD)/bench/%,$(filter-out $(BENCH_SOURCES),$(wildcard test/bench/*.c)))
$(BUILD)/bench/%: test/bench/%.c $(BENCH_SOURCES) test/bench/client.h test/bench/questions.h
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(CFLAGS_ALL) -o $@ $< $(BENCH_SOURCES) $(LDFLAGS_ALL)

# The checker of recorded histories; its unit test links against all of it but main.
TORTURE_CHECK = $(BUILD)/torture/check
$(BUILD)/torture/%.o: test/torture/%.c test/torture/history.h test/sim/linear.h common/mem.h
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(CFLAGS_ALL) -Icommon -c -o $@ $<
$(BUILD)/lib/torture.a: $(BUILD)/torture/history.o
	@mkdir -p $(@D)
	$(Q)rm -f $@ && ar rcs $@ $^
$(TORTURE_CHECK): $(BUILD)/torture/check.o $(BUILD)/lib/torture.a $(BUILD)/lib/common.a
	@echo "  LINK  $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS_common)
# Daemons with a known mistake in the place of one function: room, mistake, function.
define plant_rule
$(BUILD)/torture/$(1)_$(2): test/torture/plant_$(1)_$(2).c $(wildcard $(1)/*.h) $(BUILD)/obj/$(1)/main.o $(BUILD)/lib/$(1).a $(BUILD)/lib/common.a
	@mkdir -p $$(@D)
	@echo "  CC    $$<"
	$(Q)$$(CC) $$(CFLAGS_ALL) -Icommon -I$(1) -o $$@ $$< $(BUILD)/obj/$(1)/main.o $$(LDFLAGS_ALL) -Wl,--wrap=$(3) $(BUILD)/lib/$(1).a $(BUILD)/lib/common.a $$(LIBS_$(1)) $$(LIBS_common)
TORTURE_PLANTED += $(BUILD)/torture/$(1)_$(2)
endef
$(eval $(call plant_rule,raftd,lease,raft_lease_until))
$(eval $(call plant_rule,raftd,quorum,members_quorum))
$(eval $(call plant_rule,catalogd,lease,read_place))

BENCH_SIM = $(BUILD)/test/gossipd_pool_sim
tests: $(UNIT_TESTS) $(FUZZ_TESTS) $(BENCH_CLIENTS) $(BENCH_SIM) $(TORTURE_CHECK)
benches: $(BENCH_CLIENTS) $(BENCH_SIM)
sims: $(SIM_TESTS) $(SIM_SUITE)
unit: $(UNIT_TESTS)
	test/run-unit $(UNIT_TESTS)
sim: $(SIM_TESTS)
	STAGE=simulation test/run-unit $(SIM_TESTS)
# Whole servers, for a minute or SIM_SECONDS on SIM_JOBS cores; sim-long: two hours, and on from where it stopped (SIM_FIRST=1: anew).
sim-cluster: $(SIM_SUITE)
	STAGE=cluster SIM_SECONDS=$(or $(SIM_SECONDS),60) SIM_JOBS=$(or $(SIM_JOBS),$(shell nproc)) SHOW=1 test/run-unit $(SIM_SUITE)
sim-long: $(SIM_SUITE)
	SIM_SECONDS=$(or $(SIM_SECONDS),7200) SIM_JOBS=$(or $(SIM_JOBS),$(shell nproc)) SIM_STATE=$(BUILD)/sim-long.state nice $(SIM_SUITE)
# Whole clusters under faults, for an hour or TORTURE_SECONDS (test/torture/run); torture-planted: known mistakes are found by it.
torture-programs: all $(TORTURE_CHECK) $(TORTURE_PLANTED)
torture: torture-programs
	packaging/packages check
	BUILD=$(CURDIR)/$(BUILD) test/torture/run
torture-planted: torture-programs
	BUILD=$(CURDIR)/$(BUILD) test/torture/planted
fuzz: $(FUZZ_TESTS)
	test/run-fuzz $(FUZZ_TESTS)

fuzz-long:
	$(MAKE) -s CC=$(CLANG) SANITIZER=fuzzer-no-link,address,undefined CFLAGS='-O1 -g' FUZZ_SECONDS=$(or $(FUZZ_SECONDS),60) fuzz-only
fuzz-only: $(filter $(BUILD)/test/$(ONLY)%,$(FUZZ_TESTS))
	FUZZ_SECONDS=$(FUZZ_SECONDS) test/run-fuzz $^

bats:
	BUILD=$(CURDIR)/$(BUILD) test/run-bats $(or $(FILES),$(wildcard test/bats/*.bats))
browser:
	test/run-browser
lint:
	test/lint
check:
	test/check
bench:
	packaging/packages bench
	$(MAKE) -s -j$$(nproc) all benches
	BUILD=$(CURDIR)/$(BUILD) test/bench/run

.PHONY: tests benches sims torture-programs torture torture-planted unit sim fuzz fuzz-long fuzz-only bats browser lint check bench
