# pciseize: build, test, try, install. Each command gets what it needs.

PREFIX = /usr
DESTDIR =
CARGO = cargo
INSTALL = install

PROGRAM = target/release/pciseize
# Neither generator looks anywhere else, whatever PREFIX is.
INITRAMFS_TOOLS = $(DESTDIR)/usr/share/initramfs-tools
DRACUT = $(DESTDIR)/usr/lib/dracut/modules.d/50pciseize
DOC = $(DESTDIR)$(PREFIX)/share/doc/pciseize

SHELL_SCRIPTS = initramfs-hooks/hook initramfs-hooks/init-top dracut/50pciseize/module-setup.sh dracut/50pciseize/0-pciseize.sh .ci/run \
	tests/requirements.sh $(wildcard tests/vm/*.sh tests/vm/guest/*)

.PHONY: build check check-fast check-vm demo embed install clean

build:
	$(CARGO) build --release --locked

$(PROGRAM):
	$(MAKE) build

# Puts another configuration into a finished program: make embed CONFIG=my.conf BINARY=/usr/sbin/pciseize
embed:
	$(CARGO) run --quiet --locked --example embed -- "$(CONFIG)" "$(BINARY)"

# The hooks name the program where it is installed.
install: $(PROGRAM)
	$(INSTALL) -D -m 755 $(PROGRAM) $(DESTDIR)$(PREFIX)/sbin/pciseize
	$(INSTALL) -D -m 755 initramfs-hooks/hook $(INITRAMFS_TOOLS)/hooks/pciseize
	$(INSTALL) -D -m 755 initramfs-hooks/init-top $(INITRAMFS_TOOLS)/scripts/init-top/00-pciseize
	$(INSTALL) -D -m 755 dracut/50pciseize/module-setup.sh $(DRACUT)/module-setup.sh
	$(INSTALL) -m 755 dracut/50pciseize/0-pciseize.sh $(DRACUT)/0-pciseize.sh
	$(INSTALL) -m 644 dracut/50pciseize/pciseize.service $(DRACUT)/pciseize.service
	sed -i 's|^program=/usr/sbin/pciseize$$|program=$(PREFIX)/sbin/pciseize|' $(INITRAMFS_TOOLS)/hooks/pciseize $(DRACUT)/module-setup.sh
	$(INSTALL) -d $(DOC)
	$(INSTALL) -m 644 README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE $(DOC)

clean:
	$(CARGO) clean
