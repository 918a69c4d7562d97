//! A whole Debian with Xen, made from the package sources of this host: root tree, hypervisor,
//! kernel, root disk.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::cache::{self, Ingredients};
use super::{NotToBeHad, progress, repository, tool};

/// A release of Debian.
#[derive(Clone, Copy, PartialEq)]
pub enum Suite {
    /// Debian 11: kernel 5.10, Xen 4.14, dracut 051.
    Bullseye,
    /// Debian 12: kernel 6.1, Xen 4.17, modules as plain files.
    Bookworm,
    /// Debian 13: kernel 6.12, Xen 4.20, modules packed with xz, virtio built in.
    Trixie,
    /// What comes next: it moves each day, so nothing that `make check` does needs it.
    Sid,
}

impl Suite {
    pub fn name(self) -> &'static str {
        match self {
            Self::Bullseye => "bullseye",
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
            Self::Sid => "sid",
        }
    }

    /// The packages of the root tree beyond the essential ones.
    fn packages(self) -> Vec<&'static str> {
        let of_suite: &[&str] = match self {
            Self::Bullseye => &["xen-hypervisor-4.14-amd64", "xen-utils-4.14"],
            Self::Bookworm => &["xen-hypervisor-4.17-amd64", "xen-utils-4.17"],
            Self::Trixie => &["xen-hypervisor-4.20-amd64", "xen-utils-4.20"],
            // Without a version, as that may be another one tomorrow; and `switch_root`, which both
            // generators want in the image, is no longer in an essential package.
            Self::Sid => &["xen-system-amd64", "util-linux-extra"],
        };
        let of_all = [
            "linux-image-amd64",
            "initramfs-tools",
            "dracut-core",
            "systemd",
            "udev",
            "kmod",
            "busybox",
            "pciutils",
            "strace",
        ];
        [&of_all, of_suite].concat()
    }

    /// The program that unpacks the kernel.
    fn kernel_unpacker(self) -> &'static str {
        match self {
            Self::Bullseye | Self::Bookworm => "xz",
            Self::Trixie | Self::Sid => "zstd",
        }
    }

    /// The options of mmdebstrap for it.
    pub(super) fn options(self) -> Vec<&'static str> {
        let mut options = MMDEBSTRAP.to_vec();
        if !self.is_checked_for_age() {
            options.push("--aptopt=Acquire::Check-Valid-Until \"false\"");
        }
        options
    }

    /// Whether the lists may not be older than they say. Mirrors may lag behind a suite that moves
    /// each day, and nobody renews those of an old one. Signatures are checked all the same.
    fn is_checked_for_age(self) -> bool {
        match self {
            Self::Bookworm | Self::Trixie => true,
            Self::Bullseye | Self::Sid => false,
        }
    }

    /// The kind of its entries in the cache for such things. A suite that `make check` does without
    /// must not push the others out.
    fn kind(self, thing: &str) -> String {
        match self {
            Self::Bookworm | Self::Trixie => thing.to_owned(),
            Self::Bullseye => format!("old-{thing}"),
            Self::Sid => format!("next-{thing}"),
        }
    }

    /// How many root trees of its kind stay in the cache, and how many disks.
    fn keep(self) -> usize {
        match self {
            Self::Bookworm | Self::Trixie => KEEP,
            Self::Bullseye | Self::Sid => 1,
        }
    }
}

/// The options of mmdebstrap. Documentation and translations only cost time.
const MMDEBSTRAP: [&str; 6] = [
    "--variant=minbase",
    "--aptopt=Acquire::Languages \"none\"",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--quiet",
];

/// The number of entries of each kind in the cache: the newest two of each suite.
const KEEP: usize = 4;

/// The same for packages, of which there are more kinds.
const KEEP_PACKAGES: usize = 8;

/// The parts of a machine.
pub struct Debian {
    /// The root tree. It is never written to: images are made in an overlay above it.
    pub root: PathBuf,
    /// The hypervisor, unpacked.
    pub xen: PathBuf,
    /// The hypervisor as the distribution ships it, for a boot loader.
    pub xen_packed: PathBuf,
    /// The kernel as an ELF file, which boots some seconds sooner under Xen.
    pub vmlinux: PathBuf,
    /// The same kernel as the distribution ships it, for a boot loader or a boot without Xen.
    pub vmlinuz: PathBuf,
    /// The kernel's release: the name of its folder below /lib/modules.
    pub release: String,
    /// A file system image, labelled `root`, of the root tree and `/test-init`.
    pub disk: PathBuf,
    /// An identity for things made from these parts: part of their cache key.
    pub identity: String,
}

/// A root tree, which is never written to.
pub struct Tree {
    pub root: PathBuf,
    /// The kernel's release.
    pub release: String,
    /// The entry in the cache.
    base: PathBuf,
}

/// Gets the root tree from the cache, or makes it, and whatever a machine needs besides.
pub fn tree(suite: Suite) -> Result<Tree> {
    let sources = sources(suite)?;
    let mut ingredients = Ingredients::of(&suite.kind("debian"))
        .with("suite", suite.name())
        .with("options", suite.options().join("\n"));
    for (package, version) in &candidate_versions(suite, &sources)? {
        ingredients = ingredients.with(package, version);
    }
    let base = cache::entry(&ingredients, suite.keep(), |entry| {
        make_base(suite, &sources, entry)
    })?;
    let root = base.join("root");
    let release = only_file(&root.join("lib/modules"), "", "")?;
    Ok(Tree {
        root,
        release,
        base,
    })
}

/// Gets the parts from the cache, or makes them.
pub fn debian(suite: Suite) -> Result<Debian> {
    let Tree {
        root,
        release,
        base,
    } = tree(suite)?;
    let identity = base.to_string_lossy().into_owned();

    let test_init = test_init();
    let ingredients = Ingredients::of(&suite.kind("disk"))
        .with("debian", &identity)
        .with("test-init", fs::read(&test_init)?);
    let disk = cache::entry(&ingredients, suite.keep(), |entry| {
        make_disk(&root, &test_init, &entry.join("root.img"))
    })?;

    let boot = root.join("boot");
    Ok(Debian {
        xen: base.join("xen"),
        xen_packed: boot.join(only_file(&boot, "xen-", ".gz")?),
        vmlinux: base.join("vmlinux"),
        vmlinuz: boot.join(format!("vmlinuz-{release}")),
        disk: disk.join("root.img"),
        release,
        root,
        identity,
    })
}

/// The first program on a root disk.
fn test_init() -> PathBuf {
    repository().join("tests/vm/guest/test-init")
}

/// A root disk that has these packages besides, and what they need. The root tree and the disk of
/// all other machines of this suite stay as they are.
pub fn disk_with(suite: Suite, names: &[&str]) -> Result<PathBuf> {
    let debian = debian(suite)?;
    let disk = larger("larger-disk", suite, &debian, names, |tree, entry| {
        make_disk(tree, &test_init(), &entry.join("root.img"))?;
        let mut command = tool::as_root("rm");
        command.args(["-rf", "--one-file-system", "--"]).arg(tree);
        tool::run(command)?;
        Ok(())
    })?;
    Ok(disk.join("root.img"))
}

/// The same with the tree, so that images can be made in it.
pub fn debian_with(suite: Suite, names: &[&str]) -> Result<Debian> {
    let debian = debian(suite)?;
    let entry = larger("larger-debian", suite, &debian, names, |tree, entry| {
        make_disk(tree, &test_init(), &entry.join("root.img"))
    })?;
    Ok(Debian {
        root: entry.join("tree"),
        disk: entry.join("root.img"),
        identity: entry.to_string_lossy().into_owned(),
        ..debian
    })
}

/// The entry in the cache that `make` fills from a tree with these packages besides.
fn larger(
    kind: &str,
    suite: Suite,
    debian: &Debian,
    names: &[&str],
    make: impl FnOnce(&Path, &Path) -> Result<()>,
) -> Result<PathBuf> {
    let needed = needed(suite, &debian.root, names)?;
    let needed: Vec<&str> = needed.iter().map(String::as_str).collect();
    let packages = packages(suite, &needed)?;
    let ingredients = Ingredients::of(kind)
        .with("debian", &debian.identity)
        .with("packages", packages.display().to_string())
        .with("test-init", fs::read(test_init())?);
    cache::entry(&ingredients, KEEP, |entry| {
        let tree = entry.join("tree");
        progress::step(&format!("installing {}", names.join(", ")), || {
            install_in_a_copy(&debian.root, &packages, &tree)
        })?;
        make(&tree, entry)
    })
}

/// Whether this suite has this package.
pub fn is_offered(suite: Suite, name: &str) -> Result<bool> {
    let mut command = Command::new("apt-cache");
    command.args(lists(suite)?).args(["show", "--quiet", name]);
    Ok(command.output()?.status.success())
}

/// apt's options for the package lists of a suite.
fn lists(suite: Suite) -> Result<Vec<String>> {
    if suite == Suite::Bookworm {
        return Ok(Vec::new());
    }
    other_lists(suite, &sources(suite)?)
}

/// The packages that apt would install in a tree of this suite if these were asked for.
fn needed(suite: Suite, tree: &Path, names: &[&str]) -> Result<Vec<String>> {
    let status = tree.join("var/lib/dpkg/status");
    let mut command = Command::new("apt-get");
    command
        .args(lists(suite)?)
        .args(["install", "--simulate", "--no-install-recommends"])
        .arg(format!("-oDir::State::status={}", status.display()))
        // apt's own cache is for the packages of this host.
        .args(["-oDir::Cache::pkgcache=", "-oDir::Cache::srcpkgcache="])
        .args(names);
    let said = tool::run(command)?;
    let installed = said.lines().filter_map(|line| line.strip_prefix("Inst "));
    let names = installed.filter_map(|rest| rest.split_whitespace().next());
    Ok(names.map(str::to_owned).collect())
}

/// Copies a tree, and installs all packages of a folder in the copy.
fn install_in_a_copy(root: &Path, packages: &Path, tree: &Path) -> Result<()> {
    let mut command = tool::as_root("cp");
    command.arg("-a").arg(root).arg(tree);
    tool::run(command)?;
    let mut command = tool::as_root("env");
    command
        .args(["DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", "dpkg"])
        .arg(format!("--root={}", tree.display()))
        .arg("--path-exclude=/usr/share/doc/*")
        .arg("--install");
    for package in fs::read_dir(packages)? {
        command.arg(package?.path());
    }
    tool::run(command)?;
    Ok(())
}

/// The package sources of this host for a suite, as lines of a `sources.list`.
pub fn sources(suite: Suite) -> Result<String> {
    let mut command = Command::new("apt-get");
    command.args([
        "indextargets",
        "--format",
        "deb $(REPO_URI) $(RELEASE) $(COMPONENT)",
        "Created-By: Packages",
        "Origin: Debian",
        "Architecture: amd64",
    ]);
    let sources = tool::run(command)?;
    let of_another_suite = |line: &str| {
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        if let Some(release) = words.get_mut(2) {
            // This also renames bookworm-updates and bookworm-security.
            *release = release.replace(Suite::Bookworm.name(), suite.name());
        }
        words.join(" ") + "\n"
    };
    let sources: String = sources
        .lines()
        .map(of_another_suite)
        // sid has no other parts.
        .filter(|line| suite != Suite::Sid || line.contains(" sid "))
        .collect();
    ensure!(
        sources.contains(suite.name()),
        "apt has no package lists of Debian 12: run `make requirements-vm`"
    );
    Ok(sources)
}

/// The version of each package that apt would install now.
fn candidate_versions(suite: Suite, sources: &str) -> Result<Vec<(&'static str, String)>> {
    let options = match suite {
        Suite::Bookworm => Vec::new(),
        Suite::Bullseye | Suite::Trixie | Suite::Sid => other_lists(suite, sources)?,
    };
    let mut command = Command::new("apt-cache");
    command
        .args(options)
        .args(["show", "--no-all-versions"])
        .args(suite.packages());
    let said = tool::run(command);
    let said = match suite {
        Suite::Bookworm => {
            said.context("apt does not know the packages: run `make requirements-vm` on Debian 12")?
        }
        Suite::Bullseye | Suite::Trixie | Suite::Sid => {
            let missing = format!("not all packages are in {}", suite.name());
            said.context(NotToBeHad(missing))?
        }
    };
    let field = |stanza: &str, name: &str| -> Option<String> {
        let line = stanza.lines().find_map(|line| line.strip_prefix(name));
        line.map(str::to_owned)
    };
    let mut versions = BTreeMap::new();
    for stanza in said.split("\n\n") {
        if let (Some(package), Some(version)) =
            (field(stanza, "Package: "), field(stanza, "Version: "))
        {
            versions.insert(package, version);
        }
    }
    suite
        .packages()
        .into_iter()
        .map(|package| {
            let version = versions.get(package);
            let version = version.with_context(|| format!("apt has no version of {package}"))?;
            Ok((package, version.clone()))
        })
        .collect()
}

/// apt's options for the package lists of a suite that this host does not use.
fn other_lists(suite: Suite, sources: &str) -> Result<Vec<String>> {
    lists_of("amd64", suite, sources)
}

/// apt's options for the package lists of a suite on this architecture. The lists are in a folder
/// of the cache, and are updated first.
pub(super) fn lists_of(architecture: &str, suite: Suite, sources: &str) -> Result<Vec<String>> {
    let name = match architecture {
        "amd64" => format!("lists-{}", suite.name()),
        other => format!("lists-{}-{other}", suite.name()),
    };
    cache::folder(&name, |folder| {
        let lists = folder.join("lists");
        fs::create_dir_all(lists.join("partial"))?;
        let list = folder.join("sources.list");
        fs::write(&list, sources)?;
        let options = vec![
            format!("-oAPT::Architecture={architecture}"),
            format!("-oAPT::Architectures={architecture}"),
            format!("-oDir::State={}", folder.display()),
            "-oDir::State::status=/dev/null".to_owned(),
            format!("-oDir::Cache={}", folder.display()),
            format!("-oDir::Etc::SourceList={}", list.display()),
            "-oDir::Etc::SourceParts=-".to_owned(),
            "-oAcquire::Languages=none".to_owned(),
            format!(
                "-oAcquire::Check-Valid-Until={}",
                suite.is_checked_for_age()
            ),
            "-oAcquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
        ];
        let mut command = Command::new("apt-get");
        command
            .args(&options)
            .args(["update", "--error-on=any", "--quiet"]);
        if let Err(error) = tool::run(command) {
            // If the update fails, older lists will do: Debian 12 too is made from the lists of the
            // last `apt-get update`.
            let are_there = fs::read_dir(&lists)?
                .filter_map(Result::ok)
                .any(|item| item.file_name().to_string_lossy().contains("_Packages"));
            if !are_there {
                let suite = suite.name();
                return Err(error).context(NotToBeHad(format!("no package lists of {suite}")));
            }
            progress::say(&format!(
                "  the package lists of {} are not up to date: {error:#}",
                suite.name()
            ));
        }
        Ok(options)
    })
}

/// A package of a suite that its root tree does not have, as the file that apt downloads.
pub fn package(suite: Suite, name: &str) -> Result<PathBuf> {
    let folder = packages(suite, &[name])?;
    Ok(folder.join(only_file(&folder, name, ".deb")?))
}

/// The folder with such packages.
pub fn packages(suite: Suite, names: &[&str]) -> Result<PathBuf> {
    let options = match suite {
        Suite::Bookworm => Vec::new(),
        Suite::Bullseye | Suite::Trixie | Suite::Sid => other_lists(suite, &sources(suite)?)?,
    };
    let download = || {
        let mut command = Command::new("apt-get");
        command.args(&options).args(["download", "--quiet"]);
        command
    };
    let mut about = download();
    about.arg("--print-uris").args(names);
    let ingredients = Ingredients::of(&suite.kind("package")).with("about", tool::run(about)?);
    cache::entry(&ingredients, KEEP_PACKAGES, |entry| {
        let mut command = download();
        command.args(names).current_dir(entry);
        tool::run(command)?;
        Ok(())
    })
}

/// Unpacks packages of a suite, with all that they depend on, into the folder `tree` of an entry of
/// the cache. Nothing is installed. `options` are further ones of mmdebstrap.
pub fn unpack(suite: Suite, packages: &str, options: &[&str], entry: &Path) -> Result<()> {
    let list = entry.join("sources.list");
    fs::write(&list, sources(suite)?)?;
    let mut command = tool::as_root("mmdebstrap");
    command
        .args(["--quiet", "--variant=extract"])
        .arg("--aptopt=Acquire::Languages \"none\"")
        .arg("--aptopt=APT::Install-Recommends \"false\"")
        .args(options)
        .arg(format!("--include={packages}"))
        .arg(suite.name())
        .args([entry.join("tree"), list]);
    tool::run(command).map(drop)
}

fn make_base(suite: Suite, sources: &str, entry: &Path) -> Result<()> {
    let root = entry.join("root");
    progress::step(
        &format!("installing Debian ({}) into a folder", suite.name()),
        || make_root(suite, sources, &root),
    )?;
    let packed = root
        .join("boot")
        .join(only_file(&root.join("boot"), "xen-", ".gz")?);
    decompress("gzip", &fs::read(packed)?, &entry.join("xen"))?;

    let kernel = root
        .join("boot")
        .join(only_file(&root.join("boot"), "vmlinuz-", "")?);
    let payload = kernel_payload(&fs::read(kernel)?)?;
    decompress(suite.kernel_unpacker(), &payload, &entry.join("vmlinux"))
}

/// Runs mmdebstrap with the package sources of this host.
fn make_root(suite: Suite, sources: &str, root: &Path) -> Result<()> {
    let mut list = tempfile::Builder::new().suffix(".list").tempfile()?;
    list.write_all(sources.as_bytes())?;
    let mut command = tool::as_root("env");
    command
        .arg("INITRD=No") // the kernel package need not make an initramfs: we make our own
        .arg("mmdebstrap")
        .args(suite.options())
        .arg(format!("--include={}", suite.packages().join(",")))
        .args([
            suite.name().as_ref(),
            root.as_os_str(),
            list.path().as_os_str(),
        ]);
    tool::run(command)?;
    Ok(())
}

pub(super) fn make_disk(root: &Path, test_init: &Path, disk: &Path) -> Result<()> {
    progress::step("making the root disk", || {
        let mut command = tool::as_root("mke2fs");
        command
            .args(["-q", "-t", "ext4", "-L", "root", "-d"])
            .arg(root)
            .arg(disk)
            .arg("3G");
        tool::run(command)?;
        let mut command = tool::as_root("debugfs");
        command
            .arg("-w")
            .arg("-R")
            .arg(format!("write {} test-init", test_init.display()))
            .arg(disk);
        tool::run(command)?;
        Ok(())
    })
}

/// The compressed ELF file inside a bzImage: Documentation/x86/boot.rst, `payload_offset` and
/// `payload_length`.
fn kernel_payload(image: &[u8]) -> Result<Vec<u8>> {
    let word = |at: usize| -> Result<usize> {
        let bytes = image
            .get(at..at + 4)
            .context("the kernel image is cut short")?;
        Ok(u32::from_le_bytes(bytes.try_into()?) as usize)
    };
    let setup_sectors = usize::from(*image.get(0x1f1).context("the kernel image is cut short")?);
    let start = (setup_sectors + 1) * 512 + word(0x248)?;
    let length = word(0x24c)?;
    // The last four bytes are the unpacked size, which the kernel's build appends.
    let end = start + length - 4;
    Ok(image
        .get(start..end)
        .context("the kernel image is cut short")?
        .to_vec())
}

fn decompress(program: &str, packed: &[u8], unpacked: &Path) -> Result<()> {
    let mut child = Command::new(program)
        .arg("-dc")
        .stdin(Stdio::piped())
        .stdout(File::create(unpacked)?)
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    child
        .stdin
        .take()
        .context("no pipe to the program")?
        .write_all(packed)?;
    ensure!(
        child.wait()?.success(),
        "{program} could not unpack {}",
        unpacked.display()
    );
    Ok(())
}

/// The name of the only file in a folder with this prefix and suffix.
pub fn only_file(folder: &Path, begin: &str, end: &str) -> Result<String> {
    let mut names = Vec::new();
    for item in fs::read_dir(folder)? {
        let name = item?.file_name().to_string_lossy().into_owned();
        if name.starts_with(begin) && name.ends_with(end) {
            names.push(name);
        }
    }
    match names.as_slice() {
        [name] => Ok(name.clone()),
        _ => bail!(
            "expected one {begin}*{end} in {}, found {names:?}",
            folder.display()
        ),
    }
}
