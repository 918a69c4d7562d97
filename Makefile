# pciseize: build, test, try, install. Each command gets what it needs.

PREFIX = /usr
DESTDIR =
CARGO = cargo
INSTALL = install

PROGRAM = target/release/pciseize
TOOLS = target/tools
CARGO_FUZZ = $(TOOLS)/bin/cargo-fuzz
PAGES = target/man/pciback.conf.5 target/man/pciseize.8
# Neither generator looks anywhere else, whatever PREFIX is.
INITRAMFS_TOOLS = $(DESTDIR)/usr/share/initramfs-tools
DRACUT = $(DESTDIR)/usr/lib/dracut/modules.d/50pciseize
# Beside the folder that udev reads: who wants the rule links it there.
UNITS = $(DESTDIR)$(PREFIX)/lib/systemd/system
COMPLETIONS = $(DESTDIR)$(PREFIX)/share/bash-completion/completions
RULES = $(DESTDIR)$(PREFIX)/share/pciseize/10-pciseize.rules
DOC = $(DESTDIR)$(PREFIX)/share/doc/pciseize
MAN = $(DESTDIR)$(PREFIX)/share/man

# Generated cases are the same at every `make check`: what stops a change there is its own doing. Others: make check PROPTEST_RNG_SEED=$$(date +%s), or `cargo test`, which takes new ones each time.
export PROPTEST_RNG_SEED = 20261125

# What has to be there, as Debian packages. What is missing is installed by the targets that need it.
BUILD_PACKAGES = binutils gcc libc6-dev musl-dev scdoc
CHECK_PACKAGES = groff-base mandoc shellcheck strace systemd util-linux valgrind
FUZZ_PACKAGES = g++
VM_PACKAGES = e2fsprogs gzip ipxe-qemu mmdebstrap mount qemu-system-x86 seabios util-linux xz-utils zstd

SHELL_SCRIPTS = .ci/run benches/guest/* completions/pciseize dracut/50pciseize/*.sh fuzz/run initramfs-hooks/* tests/documents/stand-ins/* tests/requirements.sh tests/summary.sh tests/vm/guest/guest-init tests/vm/guest/passthrough tests/vm/guest/storm tests/vm/guest/test-init tests/vm/lab/make-initramfs

.PHONY: bench build check check-fast check-fuzz check-model check-vm clean demo embed fuzz install man no-scdoc requirements requirements-fuzz requirements-vm
.DELETE_ON_ERROR:

build: man
	$(CARGO) build --release --locked

# The manual pages. Nobody has to do without the program for want of them.
man: $(if $(shell command -v scdoc 2>/dev/null),$(PAGES),no-scdoc)

no-scdoc:
	@echo 'There are no manual pages without scdoc (Debian: apt install scdoc); the program does not need them.' >&2

# What scdoc says against hyphenation stands before .TH, which groff takes as a new start. Written \- a hyphen can be copied into a shell, and no line breaks behind it.
target/man/%: man/%.scd
	@mkdir -p $(@D)
	scdoc <$< >$@
	sed -i -e '/^\.TH/a .nh' -e '/^\(\.\|\\h\)/!s/-/\\-/g' $@

# Boots a real Xen dom0 twice, stock and with pciseize, and shows who has the devices.
demo: requirements requirements-vm
	$(CARGO) run --quiet --locked --example demo

# All tests, and at the end a line for each part.
check:
	@tests/summary.sh check-fast check-model check-fuzz check-vm

# All but the long ones: no fuzzing, no virtual machines.
check-fast: requirements
	$(CARGO) fmt --check
	$(CARGO) clippy --quiet --locked --all-targets --test vm -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' $(CARGO) doc --quiet --locked --no-deps
	shellcheck $(SHELL_SCRIPTS)
	$(CARGO) test --locked

# The seizure on a kernel in memory, with a hundred thousand generated scenarios, optimised: more with PROPTEST_CASES=1000000 make check-model.
check-model: requirements
	PROPTEST_CASES=$${PROPTEST_CASES:-100000} $(CARGO) test --locked --profile model --test model -- scenarios

# Inputs that nobody thought of, some hundred thousand for each target.
check-fuzz:
	$(CARGO) fmt --check --manifest-path fuzz/Cargo.toml
	$(MAKE) fuzz RUNS=200000

# Many more: make fuzz RUNS=50000000. With -j3 the targets run side by side.
RUNS = 1000000
FUZZ_TARGETS = fuzz-tokenizer fuzz-file fuzz-selector
.PHONY: $(FUZZ_TARGETS)

fuzz: $(FUZZ_TARGETS)

$(FUZZ_TARGETS): fuzz-%: $(CARGO_FUZZ)
	PATH="$(CURDIR)/$(dir $(CARGO_FUZZ)):$$PATH" fuzz/run $* $(RUNS)

# It only calls cargo and what was built: unoptimised it is there in half the time.
$(CARGO_FUZZ): | requirements-fuzz
	$(CARGO) install --quiet --locked --debug --root $(TOOLS) --version 0.13.2 cargo-fuzz

# What a run costs as machines and requests grow: fails where that is more than functions plus items. Then how long the seizure takes in a real dom0, beside other ways.
bench: requirements requirements-vm
	$(CARGO) bench --quiet --locked --profile dev --bench cost
	$(CARGO) bench --quiet --locked --profile dev --bench seizure

# Those in virtual machines: real Xen, real kernels. Two at a time, which is what two processors can do.
check-vm: requirements requirements-vm
	$(CARGO) test --locked --test vm -- --test-threads=2 --nocapture

requirements:
	tests/requirements.sh $(BUILD_PACKAGES) $(CHECK_PACKAGES)

requirements-fuzz:
	tests/requirements.sh $(BUILD_PACKAGES) $(FUZZ_PACKAGES)

requirements-vm:
	tests/requirements.sh $(VM_PACKAGES)

$(PROGRAM):
	$(MAKE) build

# Puts another configuration into a finished program: make embed CONFIG=my.conf BINARY=/usr/sbin/pciseize
embed:
	$(CARGO) run --quiet --locked --example embed -- "$(CONFIG)" "$(BINARY)"

# The hooks and the rule name the program where it is installed.
install: $(PROGRAM) man
	$(INSTALL) -D -m 755 $(PROGRAM) $(DESTDIR)$(PREFIX)/sbin/pciseize
	$(INSTALL) -D -m 755 initramfs-hooks/hook $(INITRAMFS_TOOLS)/hooks/pciseize
	$(INSTALL) -D -m 755 initramfs-hooks/init-top $(INITRAMFS_TOOLS)/scripts/init-top/00-pciseize
	$(INSTALL) -D -m 755 dracut/50pciseize/module-setup.sh $(DRACUT)/module-setup.sh
	$(INSTALL) -m 755 dracut/50pciseize/0-pciseize.sh $(DRACUT)/0-pciseize.sh
	$(INSTALL) -m 644 dracut/50pciseize/pciseize.service $(DRACUT)/pciseize.service
	sed -i 's|^program=/usr/sbin/pciseize$$|program=$(PREFIX)/sbin/pciseize|' $(INITRAMFS_TOOLS)/hooks/pciseize $(DRACUT)/module-setup.sh
	$(INSTALL) -D -m 644 udev/10-pciseize.rules $(RULES)
	sed -i 's|/usr/sbin/pciseize|$(PREFIX)/sbin/pciseize|' $(RULES)
	$(INSTALL) -D -m 644 systemd/pciseize.service $(UNITS)/pciseize.service
	sed -i 's|/usr/sbin/pciseize|$(PREFIX)/sbin/pciseize|' $(UNITS)/pciseize.service
	$(INSTALL) -D -m 644 completions/pciseize $(COMPLETIONS)/pciseize
	$(INSTALL) -d $(DESTDIR)/etc/xen/pciback.conf.d $(DOC)
	for page in $(PAGES); do \
		[ ! -f $$page ] || $(INSTALL) -D -m 644 $$page $(MAN)/man$${page##*.}/$${page##*/} || exit; \
	done
	$(INSTALL) -m 644 README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE $(DOC)

clean:
	$(CARGO) clean
	$(CARGO) clean --manifest-path fuzz/Cargo.toml
