//! A whole Debian 12 with Xen, made from the machine's own package sources: root tree, hypervisor, kernel, root disk.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::cache::{self, Ingredients};
use super::{progress, repository, tool};

const SUITE: &str = "bookworm";

/// What the root tree holds beyond the essential packages.
const PACKAGES: [&str; 11] = [
    "linux-image-amd64",
    "xen-hypervisor-4.17-amd64",
    "initramfs-tools",
    "dracut-core",
    "systemd",
    "udev",
    "kmod",
    "busybox",
    "pciutils",
    "strace",
    "xen-utils-4.17",
];

/// How mmdebstrap makes the tree. Documentation and translations only cost time.
const MMDEBSTRAP: [&str; 6] = [
    "--variant=minbase",
    "--aptopt=Acquire::Languages \"none\"",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--quiet",
];

/// The parts from which machines are put together.
pub struct Debian {
    /// The root tree. Nobody writes to it: images are made in an overlay above it.
    pub root: PathBuf,
    /// The hypervisor, unpacked.
    pub xen: PathBuf,
    /// The kernel as an ELF file, which boots some seconds sooner under Xen.
    pub vmlinux: PathBuf,
    /// The same kernel as the distribution ships it, for a boot without Xen.
    pub vmlinuz: PathBuf,
    /// The kernel's release: the name of its folder below /lib/modules.
    pub release: String,
    /// A file system image, labelled `root`, of the root tree and `/test-init`.
    pub disk: PathBuf,
    /// What this is, as an ingredient of things made from it.
    pub identity: String,
}

/// Gets the parts from the cache, or makes them.
pub fn debian() -> Result<Debian> {
    let versions = candidate_versions()?;
    let mut ingredients = Ingredients::of("debian").with("suite", SUITE).with("options", MMDEBSTRAP.join("\n"));
    for (package, version) in &versions {
        ingredients = ingredients.with(package, version);
    }
    let base = cache::entry(&ingredients, 2, make_base)?;
    let identity = base.to_string_lossy().into_owned();
    let root = base.join("root");

    let test_init = repository().join("tests/vm/guest/test-init");
    let ingredients = Ingredients::of("disk").with("debian", &identity).with("test-init", fs::read(&test_init)?);
    let disk = cache::entry(&ingredients, 2, |entry| make_disk(&root, &test_init, &entry.join("root.img")))?;

    let release = only_file(&root.join("lib/modules"), "", "")?;
    Ok(Debian {
        xen: base.join("xen"),
        vmlinux: base.join("vmlinux"),
        vmlinuz: root.join(format!("boot/vmlinuz-{release}")),
        disk: disk.join("root.img"),
        release,
        root,
        identity,
    })
}

/// The version of each package that apt would install now.
fn candidate_versions() -> Result<Vec<(&'static str, String)>> {
    let mut command = Command::new("apt-cache");
    command.args(["show", "--no-all-versions"]).args(PACKAGES);
    let said = tool::run(command).context("apt does not know the packages: run `make requirements-vm` on Debian 12")?;
    let field = |stanza: &str, name: &str| -> Option<String> {
        let line = stanza.lines().find_map(|line| line.strip_prefix(name));
        line.map(str::to_owned)
    };
    let mut versions = BTreeMap::new();
    for stanza in said.split("\n\n") {
        if let (Some(package), Some(version)) = (field(stanza, "Package: "), field(stanza, "Version: ")) {
            versions.insert(package, version);
        }
    }
    PACKAGES
        .into_iter()
        .map(|package| {
            let version = versions.get(package);
            let version = version.with_context(|| format!("apt has no version of {package}"))?;
            Ok((package, version.clone()))
        })
        .collect()
}

fn make_base(entry: &Path) -> Result<()> {
    let root = entry.join("root");
    progress::step("installing Debian 12 with Xen into a folder", || make_root(&root))?;

    let packed = root.join("boot").join(only_file(&root.join("boot"), "xen-", ".gz")?);
    decompress("gzip", &fs::read(packed)?, &entry.join("xen"))?;

    let kernel = root.join("boot").join(only_file(&root.join("boot"), "vmlinuz-", "")?);
    let payload = kernel_payload(&fs::read(kernel)?)?;
    decompress("xz", &payload, &entry.join("vmlinux"))
}

/// Runs mmdebstrap with the package sources of this machine, whatever they are.
fn make_root(root: &Path) -> Result<()> {
    let mut command = Command::new("apt-get");
    command.args(["indextargets", "--format", "deb $(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages", "Origin: Debian", "Architecture: amd64"]);
    let sources = tool::run(command)?;
    ensure!(!sources.is_empty(), "apt has no package lists from Debian: run `make requirements-vm`");

    let mut list = tempfile::Builder::new().suffix(".list").tempfile()?;
    list.write_all(sources.as_bytes())?;
    let mut command = tool::as_root("env");
    command
        .arg("INITRD=No") // the kernel package need not make an initramfs: we make our own
        .arg("mmdebstrap")
        .args(MMDEBSTRAP)
        .arg(format!("--include={}", PACKAGES.join(",")))
        .args([SUITE.as_ref(), root.as_os_str(), list.path().as_os_str()]);
    tool::run(command)?;
    Ok(())
}

fn make_disk(root: &Path, test_init: &Path, disk: &Path) -> Result<()> {
    progress::step("making the root disk", || {
        let mut command = tool::as_root("mke2fs");
        command.args(["-q", "-t", "ext4", "-L", "root", "-d"]).arg(root).arg(disk).arg("3G");
        tool::run(command)?;
        let mut command = tool::as_root("debugfs");
        command.arg("-w").arg("-R").arg(format!("write {} test-init", test_init.display())).arg(disk);
        tool::run(command)?;
        Ok(())
    })
}

/// The compressed ELF file inside a bzImage: Documentation/x86/boot.rst, `payload_offset` and `payload_length`.
fn kernel_payload(image: &[u8]) -> Result<Vec<u8>> {
    let word = |at: usize| -> Result<usize> {
        let bytes = image.get(at..at + 4).context("the kernel image is cut short")?;
        Ok(u32::from_le_bytes(bytes.try_into()?) as usize)
    };
    let setup_sectors = usize::from(*image.get(0x1f1).context("the kernel image is cut short")?);
    let start = (setup_sectors + 1) * 512 + word(0x248)?;
    let length = word(0x24c)?;
    // The last four bytes are the unpacked size, which the kernel's build appends.
    let end = start + length - 4;
    Ok(image.get(start..end).context("the kernel image is cut short")?.to_vec())
}

fn decompress(program: &str, packed: &[u8], unpacked: &Path) -> Result<()> {
    let mut child =
        Command::new(program).arg("-dc").stdin(Stdio::piped()).stdout(File::create(unpacked)?).spawn().with_context(|| format!("cannot start {program}"))?;
    child.stdin.take().context("no pipe to the program")?.write_all(packed)?;
    ensure!(child.wait()?.success(), "{program} could not unpack {}", unpacked.display());
    Ok(())
}

/// The name of the one file in a folder that begins and ends so.
fn only_file(folder: &Path, begin: &str, end: &str) -> Result<String> {
    let mut names = Vec::new();
    for item in fs::read_dir(folder)? {
        let name = item?.file_name().to_string_lossy().into_owned();
        if name.starts_with(begin) && name.ends_with(end) {
            names.push(name);
        }
    }
    match names.as_slice() {
        [name] => Ok(name.clone()),
        _ => bail!("expected one {begin}*{end} in {}, found {names:?}", folder.display()),
    }
}
