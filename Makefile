# ngx_realtime: the nginx module, realtimed and realtimectl.  "make help" lists
# the targets.

BUILD =		build
NGINX_SRC =	/usr/share/nginx/src
JOBS =		$(shell nproc)
CFLAGS =	-g -O2 -fstack-protector-strong -D_FORTIFY_SOURCE=2
WARNINGS =	-Wall -Wextra -Wpointer-arith -Werror

MAKEFLAGS +=	--no-print-directory

top :=		$(CURDIR)
out :=		$(abspath $(BUILD))

# make knows a compiler of its own, cc; ours is gcc, or what the user asks for
ifeq ($(origin CC),default)
CC =		gcc
endif

module_src :=	$(wildcard ngx_module/*.c)
module_hdr :=	$(wildcard ngx_module/*.h)
engine_src :=	$(wildcard worker/engine/*.c)
shared_src :=	$(filter-out worker/main.c worker/realtimectl.c, \
			$(wildcard worker/*.c)) $(engine_src)

so =		$(BUILD)/ngx_http_realtime_module.so
programs =	$(if $(wildcard worker/main.c),$(BUILD)/realtimed) \
		$(if $(wildcard worker/realtimectl.c),$(BUILD)/realtimectl)

.PHONY:		all module help clean force
.DELETE_ON_ERROR:

all:		module $(programs)

help:
	@echo "make            the module and the programs, into $(BUILD)/"
	@echo "make clean      removes $(BUILD)/"


# The module.  nginx's own makefile knows what is out of date; it is made anew
# when the list of files, the compiler or config changes.

module:		$(BUILD)/module/Makefile
	@flock $(BUILD)/module $(MAKE) -j$(JOBS) -C $(NGINX_SRC) \
		-f $(out)/module/Makefile modules
	@cmp -s $(BUILD)/module/ngx_http_realtime_module.so $(so) \
		|| cp $(BUILD)/module/ngx_http_realtime_module.so $(so)

$(BUILD)/module/Makefile: config $(BUILD)/module.list $(NGINX_SRC)/conf_flags
	@mkdir -p $(@D)
	@echo "configuring the module (log: $(BUILD)/module/configure.log)"
	@cd $(NGINX_SRC) && bash -c '. ./conf_flags && ./configure \
		"$${NGX_CONF_FLAGS[@]}" --with-cc="$(CC)" \
		--with-cc-opt="$(CFLAGS) -fPIC" \
		--with-ld-opt="-Wl,-z,relro -Wl,-z,now -fPIC" \
		--builddir=$(out)/module --add-dynamic-module=$(top)' \
		> $(out)/module/configure.log 2>&1 \
		|| { tail -20 $(out)/module/configure.log; rm -f $@; exit 1; }
	@touch $@

$(BUILD)/module.list: force
	@mkdir -p $(@D)
	@echo $(CC) $(CFLAGS) $(module_src) $(module_hdr) > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

clean:
	rm -rf $(BUILD)
