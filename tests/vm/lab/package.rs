//! pciseize as packages of Debian and of rpm, built by the project's own commands, and what happens
//! in a root tree in which one is installed, upgraded and removed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context, Result};

use super::debian::{self, Suite, debian};
use super::image::{Architecture, Initramfs};
use super::{once, progress, repository, target_directory, tool};

/// The packages. `elsewhere` was built in another folder, from the source archive and without
/// network; `newer` is the next version.
#[derive(Clone)]
pub struct Packages {
    pub deb: Built,
    pub rpm: Built,
    /// The folder of the source in which they were built, and a copy in which nothing was.
    pub source: PathBuf,
    pub untouched: PathBuf,
    /// What `make dist` has made, here and in another folder, and the folder of the source in it.
    pub archive: PathBuf,
    pub archive_elsewhere: PathBuf,
    pub unpacked: PathBuf,
}

#[derive(Clone)]
pub struct Built {
    pub package: PathBuf,
    pub elsewhere: PathBuf,
    pub newer: PathBuf,
}

impl Packages {
    /// Builds this checkout's packages, once for all tests of a run.
    pub fn build() -> Result<Self> {
        static BUILT: Mutex<Option<Packages>> = Mutex::new(None);
        once(&BUILT, || {
            progress::step(
                "building the packages, and again from the source archive",
                build,
            )
        })
    }
}

fn folder() -> PathBuf {
    target_directory().join("packages")
}

fn build() -> Result<Packages> {
    let folder = folder();
    remove(&folder)?;
    let source = folder.join("pciseize");
    let untouched = folder.join("untouched");
    for copy in [&source, &untouched] {
        copy_source(copy)?;
    }
    let archive = dist(shell(repository(), "exec make dist"), repository())?;
    // At once: whoever commits while the tests run changes the time in the next archive.
    let mut private = shell(&source, "umask 077 && exec make dist");
    private.env("TZ", "Asia/Tokyo").envs(as_checkout(&source)?);
    let archive_elsewhere = dist(private, &source)?;
    let beside = folder.join("a/longer/path/to");
    let other = unpack(&archive, &beside)?;

    // What may differ between two builders: the folder, where the crates come from, the time zone,
    // the rights of new files, the flags of a distribution, and who calls debhelper.
    let mut private = shell(&source, "umask 077 && make deb");
    private.env("TZ", "Asia/Tokyo");
    tool::run(private)?;
    let deb = keep(&source.join("target"), "deb", "first")?;
    let mut flags = offline(
        &other,
        "dpkg-buildpackage --build=binary --no-sign --no-check-builddeps --post-clean",
    )?;
    flags.env("RUSTFLAGS", "-Copt-level=3");
    tool::run(flags)?;
    let deb_elsewhere = keep(&beside, "deb", "elsewhere")?;

    rpm(&source, "")?;
    let package = keep(&source.join("target"), "rpm", "first")?;
    let mut flags = offline(&other, "umask 077 && make rpm")?;
    flags.env("RUSTFLAGS", "-Copt-level=3");
    tool::run(flags)?;
    let elsewhere = keep(&other.join("target"), "rpm", "elsewhere")?;
    rpm(&source, "--define \"dist .newer\"")?;
    let newer = keep(&source.join("target"), "rpm", "newer")?;
    let rpm = Built {
        package,
        elsewhere,
        newer,
    };

    let changelog = source.join("debian/changelog");
    let text = fs::read_to_string(&changelog)?;
    let next = text.replacen(") ", "+newer) ", 1);
    fs::write(&changelog, format!("{next}\n{text}"))?;
    tool::run(shell(&source, "make deb"))?;
    fs::write(&changelog, text)?;
    let newer = keep(&source.join("target"), "deb", "newer")?;
    let deb = Built {
        package: deb,
        elsewhere: deb_elsewhere,
        newer,
    };
    Ok(Packages {
        deb,
        rpm,
        source,
        untouched,
        archive,
        archive_elsewhere,
        unpacked: other,
    })
}

/// `make rpm` in that folder, with further options for rpmbuild. Returns the package.
pub fn rpm(source: &Path, options: &str) -> Result<PathBuf> {
    let mut command = shell(source, "exec make rpm RPMBUILD=\"$RPMBUILD\"");
    command.env("RPMBUILD", format!("rpmbuild {options}"));
    tool::run(command)?;
    only_package(&source.join("target"), "rpm")
}

/// A command in that folder, without what a calling `make` or cargo has set.
pub fn shell(folder: &Path, script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-euc", script]).current_dir(folder);
    for variable in [
        "MAKEFLAGS",
        "MFLAGS",
        "MAKELEVEL",
        "CARGO_TARGET_DIR",
        "RUSTFLAGS",
        "DESTDIR",
        "PREFIX",
    ] {
        command.env_remove(variable);
    }
    command
}

/// The same in a network of its own that leads nowhere, with a cargo that has downloaded nothing
/// and whose user has it ask another registry.
pub fn offline(folder: &Path, script: &str) -> Result<Command> {
    let home = self::folder().join("cargo-home");
    remove(&home)?;
    fs::create_dir_all(&home)?;
    fs::write(home.join("config.toml"), ANOTHER_REGISTRY)?;
    let alone = r#"
        script=$1
        shift
        [ "$(id -u)" -eq 0 ] || set -- --map-root-user
        exec unshare --net "$@" sh -euc "$script""#;
    let mut command = shell(folder, alone);
    command.args(["sh", script]);
    command.env("CARGO_HOME", home).env("CARGO_NET_RETRY", "0");
    Ok(command)
}

const ANOTHER_REGISTRY: &str = r#"
    [source.crates-io]
    replace-with = "another"

    [source.another]
    registry = "sparse+http://127.0.0.1:1/"
"#;

/// Runs a command that makes the source archive in that folder. Returns the archive.
fn dist(command: Command, folder: &Path) -> Result<PathBuf> {
    tool::run(command)?;
    let target = folder.join("target");
    Ok(target.join(debian::only_file(&target, "pciseize", ".tar.xz")?))
}

/// Unpacks a source archive in that folder. Returns the folder of the source.
pub fn unpack(archive: &Path, folder: &Path) -> Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let mut command = shell(folder, "exec tar -x -f \"$ARCHIVE\"");
    command.env("ARCHIVE", archive);
    tool::run(command)?;
    let source = folder.join(concat!("pciseize-", env!("CARGO_PKG_VERSION")));
    anyhow::ensure!(source.is_dir(), "{} is missing", source.display());
    Ok(source)
}

/// The variables that have git see this checkout's files in that folder.
fn as_checkout(folder: &Path) -> Result<[(&'static str, String); 3]> {
    let git = tool::run(shell(repository(), "git rev-parse --absolute-git-dir"))?;
    Ok([
        ("GIT_DIR", git.trim_end().to_owned()),
        ("GIT_WORK_TREE", folder.display().to_string()),
        ("GIT_OPTIONAL_LOCKS", "0".to_owned()),
    ])
}

fn copy_source(to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let script = "tar --exclude=target --exclude=.git -c . | tar -x -C \"$TO\"";
    let mut command = shell(repository(), script);
    command.env("TO", to);
    tool::run(command)?;
    Ok(())
}

/// Moves the only package of a folder to the one of this name, where the next build leaves it.
fn keep(from: &Path, kind: &str, name: &str) -> Result<PathBuf> {
    let package = only_package(from, kind)?;
    let to = folder().join(name);
    fs::create_dir_all(&to)?;
    let kept = to.join(package.file_name().context("a name")?);
    fs::rename(package, &kept)?;
    Ok(kept)
}

fn only_package(folder: &Path, kind: &str) -> Result<PathBuf> {
    Ok(folder.join(debian::only_file(folder, "pciseize", &format!(".{kind}"))?))
}

fn remove(tree: &Path) -> Result<()> {
    let mut command = tool::as_root("rm");
    command.args(["-rf", "--one-file-system"]).arg(tree);
    tool::run(command)?;
    Ok(())
}

/// What makes the images where a package lives.
#[derive(Clone, Copy, PartialEq)]
pub enum Maker {
    InitramfsTools,
    Dracut,
    /// A program in place of dracut that counts its calls; the package is one of rpm.
    StandIn,
}

impl Maker {
    /// The name that `package-life` uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::InitramfsTools => "initramfs-tools",
            Self::Dracut => "dracut",
            Self::StandIn => "stand-in",
        }
    }

    /// What makes the images of all kernels anew, as the README says it.
    pub fn command_for_all(self) -> &'static str {
        match self {
            Self::InitramfsTools => "update-initramfs -u -k all",
            Self::Dracut | Self::StandIn => "dracut --force --regenerate-all",
        }
    }
}

/// What a package has left behind in the folder of each step.
pub struct Life(PathBuf);

/// What came of a step.
pub struct Step {
    pub log: String,
    /// For each image that was made, its kernel, or the words that the stand-in was called with.
    pub images: Vec<String>,
    /// The files in the image.
    pub contents: String,
    /// Those in the image of the older kernel.
    pub contents_older: String,
    /// The files of the tree that have to do with pciseize.
    pub files: Vec<String>,
}

impl Life {
    /// Installs, upgrades and removes a package in a root tree that has these files.
    pub fn of(built: &Built, suite: Suite, maker: Maker, files: &[(&str, &str)]) -> Result<Self> {
        Self::lived(built, suite, maker, files, "whole")
    }

    /// The same where an older kernel is beside the newest until the package is upgraded.
    pub fn with_two_kernels(
        built: &Built,
        suite: Suite,
        maker: Maker,
        files: &[(&str, &str)],
    ) -> Result<Self> {
        Self::lived(built, suite, maker, files, "two-kernels")
    }

    /// Installs and removes it, with images that boot.
    pub fn with_boots(
        built: &Built,
        suite: Suite,
        maker: Maker,
        files: &[(&str, &str)],
    ) -> Result<Self> {
        Self::lived(built, suite, maker, files, "boots")
    }

    /// Installs it as a new user does, asks for a device with that line, and makes the images anew.
    pub fn to_first_boot(
        built: &Built,
        suite: Suite,
        maker: Maker,
        line: &str,
        files: &[(&str, &str)],
    ) -> Result<Self> {
        let all = format!("{}\n", maker.command_for_all());
        let line = format!("{line}\n");
        let own = [("/lab/line", &*line), ("/lab/all", &all)];
        Self::lived(built, suite, maker, &[&own, files].concat(), "first-boot")
    }

    fn lived(
        built: &Built,
        suite: Suite,
        maker: Maker,
        files: &[(&str, &str)],
        part: &str,
    ) -> Result<Self> {
        let place = format!("{} with {}", suite.name(), maker.name());
        progress::step(&format!("a package's life ({part}) on {place}"), || {
            let tree = debian::tree(suite)?;
            let work = folder().join(format!("{part}-{}-{}", suite.name(), maker.name()));
            remove(&work)?;
            let lab = work.join("upper/lab");
            fs::create_dir_all(lab.join("devices"))?;
            let kind = if maker == Maker::StandIn {
                "rpm"
            } else {
                "deb"
            };
            fs::copy(&built.package, lab.join("old").with_extension(kind))?;
            fs::copy(&built.newer, lab.join("newer").with_extension(kind))?;
            if maker == Maker::Dracut {
                fs::copy(debian::package(suite, "dracut")?, lab.join("dracut.deb"))?;
            }
            for (path, text) in files {
                let file = work.join("upper").join(path.trim_start_matches('/'));
                fs::create_dir_all(file.parent().context("a folder")?)?;
                fs::write(file, text)?;
            }
            let mut command = tool::as_root("unshare");
            command
                .args(["--mount", "--propagation", "private"])
                .arg(repository().join("tests/vm/lab/package-life"))
                .args([tree.root.as_os_str(), work.as_os_str()])
                .args([tree.release.as_str(), maker.name(), part]);
            tool::run(command)?;
            for tree in ["upper", "overlay", "merged"] {
                remove(&work.join(tree))?;
            }
            Ok(Self(work))
        })
    }

    /// The image that a step has left, to be booted.
    pub fn image(&self, name: &str, suite: Suite) -> Result<Initramfs> {
        let step = self.step(name)?;
        Ok(Initramfs {
            architecture: Architecture::Amd64,
            debian: debian(suite)?,
            file: self.0.join(name).join("initrd.img"),
            build_log: step.log,
            contents: step.contents,
        })
    }

    pub fn step(&self, name: &str) -> Result<Step> {
        let text = |file: &str| {
            let file = self.0.join(name).join(file);
            fs::read_to_string(&file).with_context(|| file.display().to_string())
        };
        let lines = |text: String| text.lines().map(str::to_owned).collect();
        Ok(Step {
            log: text("log")?,
            images: lines(text("images")?),
            contents: text("contents")?,
            contents_older: text("contents-older")?,
            files: lines(text("files")?),
        })
    }
}
