# pciseize: build, test, try, install.

PREFIX = /usr
SBINDIR = $(PREFIX)/sbin
DESTDIR =
# sysvinit or openrc: installs that script as /etc/init.d/pciseize. It is off until it is enabled.
INIT =
# Where Alpine's mkinitfs looks for features, /etc/mkinitfs/features.d: installs pciseize's there.
MKINITFS =
CARGO = cargo
INSTALL = install

PROGRAM = target/release/pciseize
TOOLS = target/tools
CARGO_FUZZ = $(TOOLS)/bin/cargo-fuzz

# Where the templates and manual pages go once @PREFIX@ and @SBINDIR@ are filled in. Each pair of
# paths has its own folder: a second `make install` with other paths takes no file of the first.
READY = target/ready/$(subst /,_,$(PREFIX)$(SBINDIR))
TEMPLATES = dracut/50pciseize/0-pciseize.sh dracut/50pciseize/module-setup.sh \
	dracut/50pciseize/pciseize.service initramfs-hooks/hook initramfs-hooks/init-top \
	mkinitcpio/hook mkinitcpio/install mkinitfs/pciseize.files openrc/pciseize \
	systemd/pciseize.service systemd/pciseize-names.service sysvinit/pciseize udev/10-pciseize.rules
PAGES = $(READY)/man/pciback.conf.5 $(READY)/man/pciseize.8

# The generators look in these folders only, whatever PREFIX is.
INITRAMFS_TOOLS = /usr/share/initramfs-tools
DRACUT = /usr/lib/dracut/modules.d/50pciseize
MKINITCPIO = /usr/lib/initcpio
MAN = $(PREFIX)/share/man
# Debian's zsh reads /usr/share in a folder of another name than everybody's.
ZSH_COMPLETIONS = $(PREFIX)/share/zsh/$(if $(filter /usr,$(PREFIX)),$(if $(wildcard \
	/etc/debian_version),vendor-completions,site-functions),site-functions)
DOC = $(PREFIX)/share/doc/pciseize
DOCUMENTS = $(wildcard *.md docs/*.md docs/*.svg) LICENSE-APACHE LICENSE-MIT

# What is installed, one file a line: its mode, its source, its place. `make uninstall` reads the
# same table. udev does not read the rule where it is, nor an init the scripts, nor mkinitfs the
# feature: a user who wants one links or copies it. initrd.service is for an image with systemd.
define FILES
755 $(PROGRAM) $(SBINDIR)/pciseize
755 $(READY)/initramfs-hooks/hook $(INITRAMFS_TOOLS)/hooks/pciseize
755 $(READY)/initramfs-hooks/init-top $(INITRAMFS_TOOLS)/scripts/init-top/00-pciseize
755 $(READY)/dracut/50pciseize/0-pciseize.sh $(DRACUT)/0-pciseize.sh
755 $(READY)/dracut/50pciseize/module-setup.sh $(DRACUT)/module-setup.sh
644 $(READY)/dracut/50pciseize/pciseize.service $(DRACUT)/pciseize.service
644 $(READY)/mkinitcpio/install $(MKINITCPIO)/install/pciseize
644 $(READY)/mkinitcpio/hook $(MKINITCPIO)/hooks/pciseize
644 $(READY)/mkinitfs/pciseize.files $(PREFIX)/share/pciseize/pciseize.files
644 mkinitfs/pciseize.modules $(PREFIX)/share/pciseize/pciseize.modules
$(if $(MKINITFS),644 $(READY)/mkinitfs/pciseize.files $(MKINITFS)/pciseize.files)
$(if $(MKINITFS),644 mkinitfs/pciseize.modules $(MKINITFS)/pciseize.modules)
644 $(READY)/dracut/50pciseize/pciseize.service $(PREFIX)/share/pciseize/initrd.service
644 $(READY)/systemd/pciseize.service $(PREFIX)/lib/systemd/system/pciseize.service
644 $(READY)/systemd/pciseize-names.service $(PREFIX)/lib/systemd/system/pciseize-names.service
644 $(READY)/udev/10-pciseize.rules $(PREFIX)/share/pciseize/10-pciseize.rules
755 $(READY)/sysvinit/pciseize $(PREFIX)/share/pciseize/pciseize.sysvinit
755 $(READY)/openrc/pciseize $(PREFIX)/share/pciseize/pciseize.openrc
$(if $(INIT),755 $(READY)/$(INIT)/pciseize /etc/init.d/pciseize)
644 schema.json $(PREFIX)/share/pciseize/schema.json
644 completions/pciseize $(PREFIX)/share/bash-completion/completions/pciseize
644 completions/_pciseize $(ZSH_COMPLETIONS)/_pciseize
644 completions/pciseize.fish $(PREFIX)/share/fish/vendor_completions.d/pciseize.fish
644 examples/pciback.conf.example $(DOC)/pciback.conf.example
755 examples/check_pciseize $(DOC)/check_pciseize
755 examples/pciseize-textfile $(DOC)/pciseize-textfile
755 examples/pciseize-fleet $(DOC)/pciseize-fleet
755 examples/side-image $(DOC)/side-image
$(foreach page,$(PAGES),644 $(page) $(MAN)/man$(subst .,,$(suffix $(page)))/$(notdir $(page))
)$(foreach file,$(DOCUMENTS),644 $(file) $(DOC)/$(file)
)
endef
export FILES

# Folders that `make uninstall` removes if nothing else is in them.
FOLDERS = $(DRACUT) $(MKINITCPIO)/install $(MKINITCPIO)/hooks $(MKINITCPIO) \
	$(PREFIX)/share/pciseize $(DOC)/docs $(DOC) /etc/xen/pciback.conf.d

# Generated cases are the same at every `make check`, so that only the change under test can break
# it. For other cases: make check PROPTEST_RNG_SEED=$$(date +%s). `cargo test` always takes others.
export PROPTEST_RNG_SEED = 20261125

# What has to be there, as Debian packages.
BUILD_PACKAGES = binutils gcc libc6-dev musl-dev scdoc
CHECK_PACKAGES = cpio fish groff-base insserv jq man-db mandoc python3 shellcheck strace systemd \
	util-linux valgrind zsh
FUZZ_PACKAGES = g++
VM_PACKAGES = cpio e2fsprogs grub-common grub-pc-bin gzip ipxe-qemu mmdebstrap mount \
	qemu-system-x86 seabios util-linux xorriso xz-utils zstd
PACKAGE_PACKAGES = debhelper lintian rpm rpmlint
REACH_PACKAGES = qemu-system-arm qemu-user-static

SHELL_SCRIPTS = .ci/run benches/guest/*loop benches/guest/seizure completions/pciseize \
	dracut/50pciseize/*.sh.in examples/*pciseize* examples/side-image fuzz/run \
	initramfs-hooks/* mkinitcpio/* openrc/* sysvinit/* tests/documents/stand-ins/* \
	tests/release/*.sh tests/requirements.sh \
	tests/summary.sh tests/vm/guest/binds tests/vm/guest/folder-server \
	tests/vm/guest/guest-init \
	tests/vm/guest/lay-root tests/vm/guest/passthrough tests/vm/guest/remote-disk \
	tests/vm/guest/remote-folder tests/vm/guest/sriov tests/vm/guest/storm \
	tests/vm/guest/test-init tests/vm/guest/together tests/vm/lab/make-initramfs \
	tests/vm/lab/other-init tests/vm/lab/package-life tests/width.sh

# The program with its symbols, and without the tripwires of static.ld.
WITH_SYMBOLS = CARGO_PROFILE_RELEASE_STRIP=none $(CARGO) build --quiet --release --locked

.PHONY: bench build check check-fast check-fuzz check-model check-packages check-packages-sid \
	check-reach check-vm clean deb deb-aarch64 demo dist embed fuzz install man no-scdoc picture \
	release-aarch64 requirements requirements-fuzz requirements-packages requirements-reach \
	requirements-vm rpm rpm-aarch64 side-image size transcript uninstall why-panic
.DELETE_ON_ERROR:

build: man $(addprefix $(READY)/,$(TEMPLATES))
	$(CARGO) build --release --locked

# Fills a template. Written beside its place and renamed: another make may be reading the file.
FILL = sed -e 's|@PREFIX@|$(PREFIX)|g' -e 's|@SBINDIR@|$(SBINDIR)|g'

$(addprefix $(READY)/,$(TEMPLATES)): $(READY)/%: %.in Makefile
	@mkdir -p $(@D)
	@$(FILL) $< >$@.$$$$ && mv $@.$$$$ $@

# The release for 64-bit ARM: target/aarch64/pciseize. Where this machine's Rust does not have that
# target, in a Debian sid of 1.4 GB in the cache. CI does not run this: sid changes every day. It
# tests the link with Debian 12's compiler instead (tests/vm/aarch64.rs).
release-aarch64:
	@CARGO='$(CARGO)' tests/release/aarch64.sh

# What takes the place in the program, room by room.
size: $(PROGRAM)
	$(WITH_SYMBOLS) --target-dir target/symbols
	@tests/release/size.sh target/symbols/release/pciseize $(PROGRAM)

# Who has pulled a panic path or an allocation in: for a link that the tripwires have failed.
why-panic:
	PCISEIZE_TRIPWIRES=off $(WITH_SYMBOLS) --target-dir target/why-panic
	@tests/release/why-panic.sh target/why-panic/release/pciseize

# The manual pages. The program is built and installed without them where there is no scdoc.
man: $(if $(shell command -v scdoc 2>/dev/null),$(PAGES),no-scdoc)

no-scdoc:
	@echo 'There are no manual pages without scdoc: make requirements installs it (or your' \
		'package manager). The program does not need them.' >&2

$(READY)/man/%: man/%.scd man/finish.awk Makefile
	@mkdir -p $(@D)
	@$(FILL) $< | scdoc >$@.$$$$ && \
		awk -f man/finish.awk $@.$$$$ >$@.$$$$.page && mv $@.$$$$.page $@ && rm $@.$$$$

# Boots a real Xen dom0 twice, stock and with pciseize, and shows which driver has each device.
demo: requirements-vm
	$(CARGO) run --quiet --locked --example demo

# Draws the README's picture from two such boots.
picture:
	$(REQUIRE) $(BUILD_PACKAGES) $(VM_PACKAGES)
	$(CARGO) run --quiet --locked --example demo -- docs/who-has-the-device.log
	docs/draw-boots <docs/who-has-the-device.log >docs/who-has-the-device.svg

# Records docs/first-boot.md, what a new user types and reads on Debian 12 and 13, and
# docs/second-card.md, a card by name from the list to the guest.
transcript:
	$(REQUIRE) $(BUILD_PACKAGES) $(VM_PACKAGES) $(PACKAGE_PACKAGES)
	RUST_LIB_BACKTRACE=0 $(CARGO) test --locked --test vm transcript -- --ignored \
		--nocapture --test-threads=1

# All tests, and at the end a line for each part. What a fresh machine lacks is installed first.
check: requirements
	@tests/summary.sh check-fast check-model check-fuzz check-vm

# All tests but the long ones: no fuzzing, no virtual machines.
check-fast:
	$(REQUIRE) $(BUILD_PACKAGES) $(CHECK_PACKAGES)
	$(CARGO) fmt --check
	$(CARGO) clippy --quiet --locked --all-targets -- --deny warnings
	$(CARGO) clippy --quiet --locked --test vm -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' $(CARGO) doc --quiet --locked --no-deps
	shellcheck $(SHELL_SCRIPTS)
	tests/width.sh
	$(CARGO) test --locked

# The seizure on a kernel in memory, with a hundred thousand generated scenarios, optimised for
# speed: without the flag of .cargo/config.toml.
# More: PROPTEST_CASES=1000000 make check-model.
check-model:
	$(REQUIRE) $(BUILD_PACKAGES)
	RUSTFLAGS= PROPTEST_CASES=$${PROPTEST_CASES:-100000} $(CARGO) test --locked --profile model \
		--test model -- scenarios

# Some hundred thousand generated inputs for each fuzz target.
check-fuzz:
	$(CARGO) fmt --check --manifest-path fuzz/Cargo.toml
	$(MAKE) fuzz RUNS=200000

# Many more: make fuzz RUNS=50000000. With -j3 the targets run side by side.
RUNS = 1000000
FUZZ_TARGETS = fuzz-tokenizer fuzz-file fuzz-selector fuzz-parsers
.PHONY: $(FUZZ_TARGETS)

fuzz: $(FUZZ_TARGETS)

$(FUZZ_TARGETS): fuzz-%: $(CARGO_FUZZ)
	PATH="$(CURDIR)/$(dir $(CARGO_FUZZ)):$$PATH" fuzz/run $* $(RUNS)

# cargo-fuzz only starts cargo and the targets, so it is built without optimisation.
$(CARGO_FUZZ):
	$(REQUIRE) $(BUILD_PACKAGES) $(FUZZ_PACKAGES)
	$(CARGO) install --quiet --locked --debug --root $(TOOLS) --version 0.13.2 cargo-fuzz

# What a run costs as machines and requests grow: fails where the cost grows faster than functions
# plus items. Then how long the seizure takes in a real dom0, beside other ways. To show new times
# in docs/measurements.md: cp target/bench/seizure.* docs/
bench:
	$(REQUIRE) $(BUILD_PACKAGES) $(CHECK_PACKAGES) $(VM_PACKAGES)
	$(CARGO) bench --quiet --locked --profile dev --bench cost
	$(CARGO) bench --quiet --locked --profile dev --bench seizure
	docs/draw-times <target/bench/seizure.txt >target/bench/seizure.svg

# The tests in virtual machines: real Xen, real kernels. Two at a time, for two processors. An error
# ends with its reason, not with a trace of calls.
check-vm:
	$(REQUIRE) $(BUILD_PACKAGES) $(VM_PACKAGES) $(PACKAGE_PACKAGES)
	RUST_LIB_BACKTRACE=0 $(CARGO) test --locked --test vm -- --test-threads=2 --nocapture

# Those of them that build the packages, install, upgrade and remove them, and boot their images.
check-packages:
	$(REQUIRE) $(BUILD_PACKAGES) $(VM_PACKAGES) $(PACKAGE_PACKAGES)
	RUST_LIB_BACKTRACE=0 $(CARGO) test --locked --test vm packages:: -- --test-threads=2 --nocapture

# Their life in Debian sid, which comes next. No part of make check: sid changes every day.
check-packages-sid:
	$(REQUIRE) $(BUILD_PACKAGES) $(VM_PACKAGES) $(PACKAGE_PACKAGES)
	RUST_LIB_BACKTRACE=0 $(CARGO) test --locked --test vm packages::lives_on_sid -- --ignored \
		--test-threads=2 --nocapture

# What make check has no time for: other kernels, hypervisors, architectures, guests and root disks.
# Prints what was seen, and writes it into the table of docs/platforms.md. One part alone, a file of
# tests/vm/reach/, writes its rows only: make check-reach PART=arm64.
PART =
check-reach: requirements-reach
	rm -rf target/reach
	status=0; \
	RUST_LIB_BACKTRACE=0 $(CARGO) test --locked --test vm reach::$(PART) -- --include-ignored \
		--skip writes_the_table --test-threads=2 --nocapture || status=$$?; \
	$(CARGO) test --quiet --locked --test vm reach::writes_the_table -- --ignored --nocapture \
		|| status=$$?; \
	exit $$status

# Names the packages that are missing, and `make requirements`; installs nothing.
REQUIRE = @tests/requirements.sh

# Installs all that building and testing need.
requirements:
	tests/requirements.sh --install $(BUILD_PACKAGES) $(CHECK_PACKAGES) $(FUZZ_PACKAGES) \
		$(VM_PACKAGES) $(PACKAGE_PACKAGES)

requirements-fuzz:
	tests/requirements.sh --install $(BUILD_PACKAGES) $(FUZZ_PACKAGES)

requirements-vm:
	tests/requirements.sh --install $(BUILD_PACKAGES) $(VM_PACKAGES)

requirements-reach:
	tests/requirements.sh --install $(BUILD_PACKAGES) $(VM_PACKAGES) $(PACKAGE_PACKAGES) \
		$(REACH_PACKAGES)

requirements-packages:
	tests/requirements.sh --install $(BUILD_PACKAGES) $(VM_PACKAGES) $(PACKAGE_PACKAGES)

$(PROGRAM):
	$(MAKE) build

# Puts a configuration into a finished program: make embed CONFIG=my.conf BINARY=/usr/sbin/pciseize
embed:
	$(CARGO) run --quiet --locked --example embed -- "$(CONFIG)" "$(BINARY)"

# Puts the program in front of an image that nobody can make anew: examples/side-image says how.
# make side-image IMAGE=/boot/initrd.img RESULT=/boot/initrd-pciseize.img RELEASE=6.12.1
# Without RELEASE it is for the kernel that runs; without CONFIG it has this host's configuration.
side-image: $(PROGRAM)
	@PCISEIZE='$(PROGRAM)' examples/side-image '$(IMAGE)' '$(RESULT)' '$(RELEASE)' '$(CONFIG)'

# A manual page may be missing, see `man`; nothing else may.
install: $(PROGRAM) man $(addprefix $(READY)/,$(TEMPLATES))
	@echo "$$FILES" | while read -r mode source place; do \
		case $$place in '') continue ;; */share/man/*) [ -f "$$source" ] || continue ;; esac; \
		echo "$(DESTDIR)$$place"; \
		$(INSTALL) -D -m "$$mode" "$$source" "$(DESTDIR)$$place" || exit; \
	done
	@$(INSTALL) -d "$(DESTDIR)/etc/xen/pciback.conf.d"

# The package of Debian: target/pciseize_VERSION_amd64.deb. `dpkg-buildpackage -b -d` writes the
# same one beside the folder of the source.
deb:
	$(REQUIRE) $(BUILD_PACKAGES) debhelper
	rm -f target/pciseize_*_amd64.deb
	debian/rules clean
	PACKAGE_FOLDER=target DEB_RULES_REQUIRES_ROOT=no debian/rules binary
	debian/rules clean

# The same for 64-bit ARM, with the program of `make release-aarch64`:
# target/pciseize_VERSION_arm64.deb.
deb-aarch64:
	$(REQUIRE) $(BUILD_PACKAGES) debhelper
	rm -f target/pciseize_*_arm64.deb
	debian/rules clean
	PACKAGE_FOLDER=target DEB_RULES_REQUIRES_ROOT=no \
		dpkg-architecture --host-arch arm64 --force --command 'debian/rules binary'
	debian/rules clean

# The package for distributions with rpm: target/pciseize-VERSION.x86_64.rpm. rpmbuild does not look
# whether what the build needs is installed: Debian's knows no packages. For an old rpm, or for
# another folder of programs than this machine's:
# make rpm RPMBUILD='rpmbuild --without weak_dependencies --define "_sbindir /usr/bin"'
RPMBUILD = rpmbuild
RPM_ARCHITECTURE = x86_64
rpm:
	$(REQUIRE) $(BUILD_PACKAGES) rpm
	rm -rf target/rpm target/pciseize-*.$(RPM_ARCHITECTURE).rpm
	$(RPMBUILD) -bb --build-in-place --nodeps --define '_topdir $(CURDIR)/target/rpm' \
		--define '_rpmdir $(CURDIR)/target' \
		--define '_rpmfilename %{name}-%{version}-%{release}.%{_arch}.rpm' rpm/pciseize.spec

# The same for 64-bit ARM: target/pciseize-VERSION.aarch64.rpm.
rpm-aarch64:
	$(MAKE) rpm RPMBUILD='$(RPMBUILD) --target aarch64' RPM_ARCHITECTURE=aarch64

# The source archive: target/pciseize-VERSION.tar.xz. It has the crates that the program needs, so
# that everything above builds from it without network. It is made in a clone of the repository.
dist:
	@CARGO='$(CARGO)' tests/release/dist.sh

# Removes what `make install` with the same PREFIX, SBINDIR, INIT, MKINITFS and DESTDIR has
# installed. The configuration stays, and so do images that have pciseize in them.
uninstall:
	@echo "$$FILES" | while read -r mode source place; do \
		[ -z "$$place" ] || rm -f "$(DESTDIR)$$place" || exit; \
	done
	@for folder in $(FOLDERS); do \
		[ ! -d "$(DESTDIR)$$folder" ] || \
			rmdir --ignore-fail-on-non-empty "$(DESTDIR)$$folder" || exit; \
	done
	@echo 'The next initramfs image is made without pciseize; the present one still has it.'

clean:
	$(CARGO) clean
	$(CARGO) clean --manifest-path fuzz/Cargo.toml
