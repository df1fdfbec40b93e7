# ngx_realtime: the nginx module, realtimed and realtimectl.
# "make help" lists what can be made.

BUILD =		build
CFLAGS =	-g -O2 -fstack-protector-strong -D_FORTIFY_SOURCE=2
JOBS =		$(shell nproc)
T =		$(wildcard t/*.t t/clients/*.t)

# these may come from the environment, too
FUZZ_SECONDS ?=	10
PORT ?=		8080

PREFIX =	/usr/local
NGINX =		/usr/sbin/nginx
NGINX_ETC =	/etc/nginx

# nginx-dev: configure, headers, and the options of Debian's binary
NGINX_SRC =	/usr/share/nginx/src
NGINX_FLAGS =	$(NGINX_SRC)/conf_flags

WARNINGS =	-Wall -Wextra -Wpointer-arith -Werror
LIBS =		-Wl,--as-needed -lyajl -linih -lsodium -lz -lm \
		-lpthread

SANITIZE =	-fsanitize=address,undefined -fno-sanitize-recover=undefined
ASAN_CFLAGS =	-g -O1 -fno-omit-frame-pointer -DNGX_DEBUG_PALLOC=1 \
		-DNGX_HTTP_RT_DIE=1 $(SANITIZE)

# NAME, or COMMAND/NAME where the command may also come from elsewhere
PACKAGES =	gcc libc6-dev nginx nginx-dev libyajl-dev libinih-dev libsodium-dev \
		zlib1g-dev libssl-dev libpcre2-dev curl/curl
TEST_PACKAGES =	perl libcmocka-dev libio-socket-ssl-perl openssl ca-certificates
# without these, parts of the test are skipped
MORE_PACKAGES =	clang libclang-rt-dev llvm dpkg-dev debootstrap chromium node/nodejs npm/npm \
		libnginx-mod-http-brotli-filter libfaketime

# what the module is tested with besides the running system, each in a small
# Debian of its own
SUITES =	trixie sid

# make would say cc
ifeq ($(origin CC),default)
CC =		gcc
endif

MAKEFLAGS +=	--no-print-directory

# in recipes: unless make was told already
jobs =		$(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(JOBS))

# with V=1 the whole commands are shown
Q =		$(if $(V),,@echo "  $(1) $@";)

top :=		$(CURDIR)
out :=		$(abspath $(BUILD))

# the rooms; file names are unique, so includes and tests need no folder
rooms :=	$(sort $(dir $(wildcard ngx_module/*/*.[ch] ngx_module/*/*/*.[ch] \
		worker/*.[ch] worker/*/*.[ch] worker/*/*/*.[ch])))
module_src :=	$(wildcard $(addsuffix *.c,$(filter ngx_module/%,$(rooms))))
worker_src :=	$(wildcard $(addsuffix *.c,$(filter worker/%,$(rooms))))
headers :=	$(wildcard $(addsuffix *.h,$(rooms)))
includes :=	-I. $(addprefix -I,$(rooms:/=))

programs :=	realtimed realtimectl
units :=	$(basename $(notdir $(wildcard t/unit/*.c)))
unit_hdr :=	$(wildcard t/unit/*.h)
fuzzers :=	$(basename $(notdir $(wildcard t/fuzz/*.c)))

.DELETE_ON_ERROR:
.PHONY:		all help module asan unit asan-unit fuzzers force
.PHONY:		run install uninstall bench bench-worker clean
.PHONY:		packages test-packages
.PHONY:		test check check-asan check-clang check-static check-debian
.PHONY:		fuzz clients

all:		module $(programs:%=$(BUILD)/%)

help:
	@echo "make              the module and the programs, in $(BUILD)/"
	@echo "make packages     installs what that needs"
	@echo "make run          both, then nginx on 127.0.0.1, PORT=$(PORT)"
	@echo "make install      DESTDIR=, PREFIX=$(PREFIX)"
	@echo "make uninstall    takes it away again"
	@echo "make clean        removes $(BUILD)/"
	@echo
	@echo "make test         everything below; installs what it needs"
	@echo "make check        T='t/a.t t/b.t' for some of the tests only"
	@echo "make check-asan   the same with address and undefined sanitizers"
	@echo "make check-clang  compiles everything with clang"
	@echo "make check-static compiles the module into nginx"
	@echo "make check-debian some tests with the nginx of Debian 13 and of sid"
	@echo "make fuzz         FUZZ_SECONDS=$(FUZZ_SECONDS) for each parser"
	@echo "make bench        measures the module beside nchan and a bare loop"
	@echo "make bench-worker measures the daemon beside Redis and PostgreSQL"
	@echo
	@echo "CC=clang, CFLAGS=..., BUILD=directory, V=1 do what one expects"

packages:
	@t/packages.sh $(PACKAGES)

test-packages:
	@t/packages.sh $(PACKAGES) $(TEST_PACKAGES) -- $(MORE_PACKAGES)


# nginx, and modules for it.  Its own makefile knows which files are out of
# date; configure runs anew when config, the list of files or a flag changes.
# Locks, for another make may be at work in the same directory.

# $(call configure,source,objects,cc options,ld options,more options)
define configure
	@mkdir -p $2
	@echo "configuring $2"
	@cd $1 && flock $(abspath $2) bash -c '. $(NGINX_FLAGS) && ./configure \
		"$${NGX_CONF_FLAGS[@]}" --with-cc="$(CC)" \
		--with-cc-opt="$3" --with-ld-opt="$4" \
		--builddir=$(abspath $2) $5' > $(abspath $2)/configure.log 2>&1 \
		|| { tail -n 20 $(abspath $2)/configure.log; exit 1; }
	@touch $2/Makefile
endef

# $(call nginx_make,source,objects,goal,product,copied to)
define nginx_make
	+@flock $2 $(MAKE) $(if $(V),,-s) $(jobs) -C $1 \
		-f $(abspath $2)/Makefile $3
	@cmp -s $2/$4 $5 || { echo "new: $5"; cp $2/$4 $5.new; mv $5.new $5; }
endef

$(NGINX_FLAGS):
	@echo "$@ is missing; make packages installs it"
	@exit 1

so =		ngx_http_realtime_module.so
module_opt =	--add-dynamic-module=$(top)
module_ld =	-Wl,-z,relro -Wl,-z,now

module:		$(BUILD)/module/Makefile
	$(call nginx_make,$(NGINX_SRC),$(BUILD)/module,modules,$(so),$(BUILD)/$(so))

$(BUILD)/module/Makefile: config $(BUILD)/module.list $(NGINX_FLAGS)
	$(call configure,$(NGINX_SRC),$(@D),$(CFLAGS) -fPIC,$(module_ld),$(module_opt))

$(BUILD)/%.list: force
	@mkdir -p $(@D)
	@echo '$(CC) $(CFLAGS) $(ASAN_CFLAGS) $(module_src) $(headers)' > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

# the source of the system's nginx, or of another that the module supports
$(BUILD)/src/system/configure:
	@t/debian-source.sh nginx 1.22 $(@D)
	@touch $@


# With sanitizers.  nginx copies empty strings from NULL, reads unaligned words
# and moves pointers that are NULL when a request line is read in parts, hence
# the exceptions for it; our code has none.

asan:		$(BUILD)/asan/nginx asan-module $(programs:%=$(BUILD)/asan/%)

.PHONY:		asan-module

$(BUILD)/asan/nginx: $(BUILD)/asan/nginx-objs/Makefile \
		t/sanitize/ngx_sanitize_module.c
	$(call nginx_make,$(BUILD)/src/system,$(<D),binary,nginx,$@)

$(BUILD)/asan/nginx-objs/Makefile: $(BUILD)/src/system/configure \
		t/sanitize/config
	$(call configure,$(<D),$(@D),$(ASAN_CFLAGS) $(nginx_san),$(SANITIZE),\
		--add-module=$(top)/t/sanitize)

nginx_san =	-fno-sanitize=nonnull-attribute -fno-sanitize=alignment \
		-fno-sanitize=pointer-overflow

asan-module:	$(BUILD)/asan/module/Makefile
	$(call nginx_make,$(BUILD)/src/system,$(<D),modules,$(so),$(BUILD)/asan/$(so))

$(BUILD)/asan/module/Makefile: $(BUILD)/src/system/configure config \
		$(BUILD)/module.list
	$(call configure,$(<D),$(@D),$(ASAN_CFLAGS) -fPIC,$(SANITIZE),$(module_opt))


# The programs.  Floating point must give the same bytes everywhere.

daemon_src :=	$(filter-out worker/ctl/%,$(worker_src))
ctl_src :=	$(filter-out worker/main.c,$(worker_src))
program_objs =	$(patsubst %.c,$1/%.o,$2)

# $(call program_rules,directory,flags)
define program_rules
$1/realtimed:	$(call program_objs,$1,$(daemon_src))
$1/realtimectl: $(call program_objs,$1,$(ctl_src))

$1/realtimed $1/realtimectl:
	$$(call Q,LD)$$(CC) $2 -o $$@ $$^ $$(LIBS)

$1/worker/%.o:	worker/%.c Makefile
	@mkdir -p $$(@D)
	$$(call Q,CC)$$(CC) $2 -ffp-contract=off $$(WARNINGS) $$(includes) \
		-MMD -MP -c $$< -o $$@
endef

$(eval $(call program_rules,$(BUILD),$$(CFLAGS)))
$(eval $(call program_rules,$(BUILD)/asan,$$(ASAN_CFLAGS)))

-include $(patsubst %.c,$(BUILD)/%.d,$(worker_src))
-include $(patsubst %.c,$(BUILD)/asan/%.d,$(worker_src))


# Unit tests and fuzz targets.  Their file comments say what goes into them:
#
#  * Sources: ngx_http_rt_id.c ngx_http_rt_utf8.c
#  * Libs: -lyajl
#
# "nginx-headers" among the sources adds nginx's include paths; "core/" are
# all sources of that room of the daemon.

tag =		$(shell sed -n 's/^ \* $2: *//p' $1)
find =		$(firstword $(wildcard $1 $(addsuffix $1,$(rooms) t/unit/ \
		t/fuzz/)) $1)
sources =	$(foreach s,$(filter-out nginx-headers,$(call tag,$1,Sources)), \
		$(if $(filter %/,$s),$(wildcard worker/$s*.c),$(call find,$s)))
nginx_incs =	$(addprefix -I$(NGINX_SRC)/src/,core event event/modules \
		os/unix http http/modules http/v2) -I$(BUILD)/module \
		-Wno-unused-parameter
incs =		$(includes) $(if $(filter nginx-headers, \
		$(call tag,$1,Sources)),$(nginx_incs))

# $(call test_rule,program,source,compiler and flags,libraries)
define test_rule
$1:		$2 $(call sources,$2) $(headers) $(unit_hdr) | $(BUILD)/module/Makefile
	@mkdir -p $$(@D)
	$$(call Q,CC)$3 $$(WARNINGS) $(call incs,$2) -o $$@ $2 $(call sources,$2) \
		$(call tag,$2,Libs) $4
endef

$(foreach u,$(units),$(eval $(call test_rule,$(BUILD)/unit/$u.t,t/unit/$u.c,\
	$$(CC) $$(CFLAGS),-lcmocka)))
$(foreach u,$(units),$(eval $(call test_rule,$(BUILD)/asan/unit/$u.t,t/unit/$u.c,\
	$$(CC) $$(ASAN_CFLAGS),-lcmocka)))
$(foreach f,$(fuzzers),$(eval $(call test_rule,$(BUILD)/fuzz/$f,t/fuzz/$f.c,\
	clang -g -O1 $$(SANITIZE) -fsanitize=fuzzer,)))

unit:		$(units:%=$(BUILD)/unit/%.t)
asan-unit:	$(units:%=$(BUILD)/asan/unit/%.t)
fuzzers:	$(fuzzers:%=$(BUILD)/fuzz/%)


# Tests.

# $(call prove,build directory,nginx,tests,environment)
define prove
	@$4 RT_BUILD=$(abspath $1) TEST_RT_BUILD=$(abspath $1) \
	TEST_NGINX_BINARY=$2 TEST_RT_MODULE=$(abspath $1)/$(so) \
	CMOCKA_MESSAGE_OUTPUT=TAP MAKEFLAGS= \
		prove --timer -j$(JOBS) $3
endef

# those of this build, when all tests run
unit_tests :=	$(if $(filter file,$(origin T)),$(units:%=unit/%.t))

# and those that run once more, with subscribers that have no request
detached :=	$(if $(filter file,$(origin T)),$(addprefix t/,conflate.t \
		deflate.t gaps.t keepalive.t kill.t model.t multi.t order.t \
		reload.t resume.t slow.t sse.t stream.t tls.t websocket.t \
		websocket_frames.t))
detach =	RT_HTTP='realtime_detach on;'

# Parts that need something that cannot be had are skipped; the last lines say
# which, and why.

test_parts =	clients check check-asan check-clang check-static fuzz \
		$(SUITES:%=check-debian-%)

test: export RT_SKIPPED := $(out)/skipped

test:
	@mkdir -p $(BUILD)
	@: > $(RT_SKIPPED)
	@$(MAKE) test-packages
	@$(MAKE) -k $(jobs) all unit asan asan-unit fuzzers || true
	@t/parts.sh $(MAKE) $(test_parts)

# $(call or_skip,what,command that fetches,goals)
define or_skip
	+@! t/or-skip.sh "$1" $2 || $(MAKE) $3
endef

has_clang =	clang --version

check:		all $(unit_tests:%=$(BUILD)/%)
	$(call prove,$(BUILD),$(NGINX),$(T) $(unit_tests:%=$(BUILD)/%))
	$(if $(detached),$(call prove,$(BUILD),$(NGINX),$(detached),$(detach)))

check-asan check-static:
	$(call or_skip,$@,$(MAKE) -s $(BUILD)/src/system/configure,$(@:check-%=%-tests))

.PHONY:		asan-tests static-tests fuzz-tests

asan-tests:	asan $(unit_tests:%=$(BUILD)/asan/%)
	$(call prove,$(BUILD)/asan,$(out)/asan/nginx,$(T) \
		$(unit_tests:%=$(BUILD)/asan/%))
	$(if $(detached),$(call prove,$(BUILD)/asan,$(out)/asan/nginx,\
		$(detached),$(detach)))

check-clang:
	$(call or_skip,$@,$(has_clang),$(jobs) all unit CC=clang BUILD=$(BUILD)/clang)

static-tests:	$(BUILD)/static/Makefile
	$(call nginx_make,$(BUILD)/src/system,$(<D),binary,nginx,$(BUILD)/nginx-static)
	@nm $(BUILD)/nginx-static | grep ' ngx_http_realtime_module$$'

$(BUILD)/static/Makefile: $(BUILD)/src/system/configure config \
		$(BUILD)/module.list
	$(call configure,$(<D),$(@D),-O0,,--add-module=$(top))

# with nginx, nginx-dev, compiler and libraries of another release of Debian

roots =		$(BUILD)/roots
root_packages =	make perl $(notdir $(PACKAGES)) $(filter lib%,$(TEST_PACKAGES))
root_tests =	$(addprefix t/,build.t config.t http2.t pass.t reload.t smoke.t \
		tls.t websocket.t worker.t zones.t)

check-debian:	$(SUITES:%=check-debian-%)

check-debian-%:
	$(call or_skip,$@,t/debian-root.sh make $(roots)/$* $* $(root_packages),\
		debian-tests-$*)

debian-tests-%:
	@tar -cf - --exclude=./build --exclude=./.git --exclude=node_modules . \
		| t/debian-root.sh run $(roots)/$* sh -ec 'cd src; \
			find . -mindepth 1 -maxdepth 1 ! -name build \
				-exec rm -rf {} +; \
			tar -xf - --no-same-owner; \
			make -j$(JOBS) all; nginx -v; \
			make check T="$(root_tests)" JOBS=$(JOBS)'

fuzz:
	$(call or_skip,$@,$(has_clang),-k $(jobs) fuzz-tests)

fuzz-tests:	fuzzers $(fuzzers:%=fuzz-%)

fuzz-%:		$(BUILD)/fuzz/%
	@mkdir -p $(BUILD)/fuzz/corpus/$*
	@$< -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=1024 \
		-artifact_prefix=$(BUILD)/fuzz/$*- -verbosity=0 \
		-print_final_stats=1 $(BUILD)/fuzz/corpus/$* \
		$(wildcard t/fuzz/corpus/$*) 2> $(BUILD)/fuzz/$*.log \
	&& echo "fuzz $*: ok," \
		"$$(sed -n 's/.*executed_units: *//p' $(BUILD)/fuzz/$*.log) runs" \
	|| { cat $(BUILD)/fuzz/$*.log; echo "fuzz $*: failed"; exit 1; }

# real clients; their tests skip without them
clients:
	+@t/or-skip.sh "tests with real clients" $(MAKE) -s $(node_modules) || true

node_modules =	t/clients/node_modules/.package-lock.json

$(node_modules): t/clients/package-lock.json
	@cd t/clients && npm ci --no-audit --no-fund \
		|| { rm -rf node_modules; exit 1; }
	@touch $@

bench:		all
	RT_BUILD=$(out) t/bench/run

bench-worker:	all
	RT_BUILD=$(out) t/bench/worker


# Using it.

run:		packages
	@$(MAKE) $(jobs) all
	@t/run.sh $(out) $(PORT)

install:	all
	modules=$$($(NGINX) -V 2>&1 | tr ' ' '\n' \
			| sed -n 's/^--modules-path=//p') \
	&& install -D -m 644 $(BUILD)/$(so) $(DESTDIR)$$modules/$(so)
	install -d $(DESTDIR)$(NGINX_ETC)/modules-available \
		$(DESTDIR)$(NGINX_ETC)/modules-enabled
	echo "load_module modules/$(so);" \
		> $(DESTDIR)$(NGINX_ETC)/modules-available/mod-http-realtime.conf
	ln -sf ../modules-available/mod-http-realtime.conf \
		$(DESTDIR)$(NGINX_ETC)/modules-enabled/50-mod-http-realtime.conf
ifneq ($(filter realtimed,$(programs)),)
	install -D $(BUILD)/realtimed $(DESTDIR)$(PREFIX)/sbin/realtimed
endif
ifneq ($(filter realtimectl,$(programs)),)
	install -D $(BUILD)/realtimectl $(DESTDIR)$(PREFIX)/bin/realtimectl
endif

uninstall:
	modules=$$($(NGINX) -V 2>&1 | tr ' ' '\n' \
			| sed -n 's/^--modules-path=//p') \
	&& rm -f $(DESTDIR)$$modules/$(so)
	rm -f $(DESTDIR)$(NGINX_ETC)/modules-enabled/50-mod-http-realtime.conf \
		$(DESTDIR)$(NGINX_ETC)/modules-available/mod-http-realtime.conf \
		$(DESTDIR)$(PREFIX)/sbin/realtimed \
		$(DESTDIR)$(PREFIX)/bin/realtimectl

clean:
	$(if $(wildcard $(BUILD)/roots),t/debian-root.sh remove $(BUILD)/roots)
	rm -rf $(BUILD)
