//! The packages of Debian and rpm: what is in them, that nobody has anything to say against them,
//! their life in a root tree, and the images that apt made with them, booted. `make check-packages`
//! runs these alone.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::lab::board::{self, PAIRS};
use crate::lab::debian::Suite;
use crate::lab::machine::Machine;
use crate::lab::package::{self, Life, Maker, Packages, Step};
use crate::lab::tool;
use crate::{DROP_IN, FILE, assert_claimed, assert_listed_seized};

/// The words of a command with a file behind them, and what the command says.
fn ask(words: &str, file: &Path) -> Result<Output> {
    let mut words = words.split(' ');
    let program = words.next().context("no program")?;
    let mut command = Command::new(program);
    command.args(words).arg(file).env("LC_ALL", "C.UTF-8");
    command.output().with_context(|| program.to_owned())
}

/// Its output; it has to succeed.
fn answer(words: &str, file: &Path) -> Result<String> {
    let output = ask(words, file)?;
    assert!(output.status.success(), "{words}: {output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

/// Two builders get the same bytes, whatever their folders, time zones, flags and rights are.
#[test]
fn the_same_source_gives_the_same_package() -> Result<()> {
    let packages = Packages::build()?;
    for built in [&packages.deb, &packages.rpm] {
        let here = fs::read(&built.package)?;
        let is_same = here == fs::read(&built.elsewhere)?;
        assert!(
            is_same,
            "{} differs from {}",
            built.package.display(),
            built.elsewhere.display()
        );
        assert_ne!(here, fs::read(&built.newer)?, "the control");
    }
    Ok(())
}

fn compare(one: &Path, other: &Path) -> Result<()> {
    let mut compare = Command::new("diff");
    compare.args(["--recursive", "--no-dereference", "--exclude=target"]);
    compare.args([one, other]);
    tool::run(compare)?;
    Ok(())
}

fn install(mut make: Command) -> Result<TempDir> {
    let root = TempDir::new()?;
    make.env("ROOT", root.path());
    tool::run(make)?;
    Ok(root)
}

const INSTALL: &str = "exec make install DESTDIR=\"$ROOT\"";

/// Without network `make install` installs from the source archive what it installs elsewhere, and
/// the packages `elsewhere` were built so, see above. A checkout needs the network.
#[test]
fn the_archive_needs_no_network() -> Result<()> {
    let packages = Packages::build()?;
    let here = install(package::shell(&packages.source, INSTALL))?;
    let alone = install(package::offline(&packages.unpacked, INSTALL)?)?;
    compare(here.path(), alone.path())?;
    let unpacked = TempDir::new()?;
    compare(
        &package::unpack(&packages.archive, unpacked.path())?,
        &packages.unpacked,
    )?;

    let control = tool::run(package::offline(&packages.untouched, "exec make build")?);
    let said = format!("{:?}", control.expect_err("the control"));
    assert!(said.contains("registry `crates-io`"), "{said}");
    // A crate that only tests need says what to do.
    let test = "exec cargo check --quiet --locked --example embed";
    let said = tool::run(package::offline(&packages.unpacked, test)?);
    let said = format!("{:?}", said.expect_err("it is not in the archive"));
    assert!(said.contains("at the end of .cargo/config.toml"), "{said}");
    Ok(())
}

/// The archive is the same in every folder, whatever the rights of new files are.
#[test]
fn the_same_commit_gives_the_same_archive() -> Result<()> {
    let packages = Packages::build()?;
    let is_same = fs::read(&packages.archive)? == fs::read(&packages.archive_elsewhere)?;
    assert!(is_same, "{}", packages.archive_elsewhere.display());

    // Nothing tells there which files belong to the source.
    let without = tool::run(package::shell(&packages.unpacked, "exec make dist"));
    let said = format!("{:?}", without.expect_err("without git"));
    assert!(said.contains("needs a clone of the repository"), "{said}");
    Ok(())
}

/// A build leaves the source as it was. (debhelper removes files that look like backups.)
#[test]
fn a_build_leaves_the_source_alone() -> Result<()> {
    let packages = Packages::build()?;
    compare(&packages.untouched, &packages.source)
}

/// Neither checker has an error or a warning. What they are not to say has its reason beside it,
/// and without that they do say something.
#[test]
fn lintian_and_rpmlint_have_no_objection() -> Result<()> {
    let packages = Packages::build()?;
    let lintian = "lintian --allow-root --fail-on error,warning";
    let output = ask(lintian, &packages.deb.package)?;
    assert!(
        output.status.success() && output.stdout.is_empty(),
        "{output:?}"
    );
    let control = ask(&format!("{lintian} --no-override"), &packages.deb.package)?;
    assert!(!control.status.success(), "{control:?}");

    let [filters, spec] = ["pciseize.rpmlintrc", "pciseize.spec"]
        .map(|name| packages.source.join("rpm").join(name).display().to_string());
    let words = format!("rpmlint --rpmlintrc {filters} {spec}");
    let said = answer(&words, &packages.rpm.package)?;
    assert!(said.contains("; 0 errors, 0 warnings,"), "{said}");
    let control = ask("rpmlint", &packages.rpm.package)?;
    assert!(!control.status.success(), "{control:?}");

    for file in [
        "debian/pciseize.lintian-overrides",
        "rpm/pciseize.rpmlintrc",
    ] {
        let text = fs::read_to_string(packages.source.join(file))?;
        let mut is_reason = false;
        for line in text.lines().filter(|line| !line.is_empty()) {
            let is_next = line.starts_with('#');
            assert!(is_next || is_reason, "{file}: no reason above: {line}");
            // One reason may stand above two filters.
            is_reason = is_next || line.starts_with("addFilter");
        }
    }
    Ok(())
}

/// No script touches the unit, no file of the package is a configuration that dpkg asks about, and
/// the images are made anew by the trigger.
#[test]
fn the_package_of_debian_only_asks_for_new_images() -> Result<()> {
    let packages = Packages::build()?;
    let control = TempDir::new()?;
    let mut unpack = Command::new("dpkg-deb");
    unpack
        .arg("--control")
        .arg(&packages.deb.package)
        .arg(control.path());
    tool::run(unpack)?;
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(control.path())? {
        names.insert(entry?.file_name().to_string_lossy().into_owned());
    }
    let expected = ["control", "md5sums", "triggers"].map(str::to_owned);
    assert_eq!(names, BTreeSet::from(expected), "no script, no conffiles");
    let triggers = fs::read_to_string(control.path().join("triggers"))?;
    let triggers: Vec<_> = triggers
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    assert_eq!(triggers, ["activate-noawait update-initramfs"]);

    let about = fs::read_to_string(control.path().join("control"))?;
    let version = concat!("Version: ", env!("CARGO_PKG_VERSION"), "-");
    assert!(about.contains(version), "{about}");
    for line in [
        "Enhances: xen-hypervisor",
        "Recommends: initramfs-tools | dracut",
    ] {
        assert!(about.lines().any(|own| own == line), "{line}:\n{about}");
    }
    assert!(!about.contains("Depends: "), "{about}");
    Ok(())
}

/// The files that a command lists, one a line, without folders. Manual pages may be packed.
fn files(place: &Path, script: &str) -> Result<BTreeSet<String>> {
    let mut command = package::shell(Path::new("/"), script);
    command.env("PLACE", place).env("LC_ALL", "C.UTF-8");
    let listed = tool::run(command)?;
    let names = listed.lines().filter(|line| !line.ends_with('/'));
    let names = names.map(|line| line.trim_start_matches('.').trim_end_matches(".gz"));
    Ok(names.map(str::to_owned).collect())
}

const IN_DEB: &str = r#"dpkg-deb --fsys-tarfile "$PLACE" | tar -t"#;
const IN_RPM: &str = r#"rpm -qp --queryformat '[%{FILEMODES:perms} %{FILENAMES}\n]' "$PLACE" |
    sed -n '/^d/!s/^[^ ]* //p'"#;

/// Both packages have what the Makefile's table says, but for what each distribution has in
/// another place, or has no use for.
#[test]
fn packages_have_what_make_install_installs() -> Result<()> {
    let packages = Packages::build()?;
    let root = install(package::shell(&packages.source, INSTALL))?;
    let installed = files(root.path(), r#"cd "$PLACE" && find . ! -type d"#)?;
    // No such distribution has mkinitcpio, nor Alpine's mkinitfs.
    let nowhere = ["/lib/initcpio/", "/pciseize.files", "/pciseize.modules"];
    let without = |parts: &[&str]| -> BTreeSet<String> {
        let parts = parts.iter().chain(&nowhere);
        let is_left = |path: &&String| !parts.clone().any(|part| path.contains(part));
        installed.iter().filter(is_left).cloned().collect()
    };

    // The unit that takes no device is enabled, without a script.
    let wanted = "/usr/lib/systemd/system/multi-user.target.wants/pciseize-names.service";
    let mut expected = without(&["/LICENSE-", "/CHANGELOG.md"]);
    expected.insert(wanted.to_owned());
    expected.extend(
        [
            "/usr/share/doc/pciseize/changelog",
            "/usr/share/doc/pciseize/changelog.Debian",
            "/usr/share/doc/pciseize/copyright",
            "/usr/share/lintian/overrides/pciseize",
        ]
        .map(str::to_owned),
    );
    assert_eq!(files(&packages.deb.package, IN_DEB)?, expected);
    assert!(expected.contains("/usr/share/doc/pciseize/pciback.conf.example"));

    let mut expected = without(&["/LICENSE-", "/usr/share/initramfs-tools/"]);
    expected.insert(wanted.to_owned());
    let licences = concat!("/usr/share/licenses/pciseize-", env!("CARGO_PKG_VERSION"));
    expected.extend(["APACHE", "MIT"].map(|name| format!("{licences}/LICENSE-{name}")));
    assert_eq!(files(&packages.rpm.package, IN_RPM)?, expected);
    Ok(())
}

/// The administrator's files on the host where a package lives: a request that the plan warns of,
/// and a mistake.
const OWN: [(&str, &str); 4] = [
    (FILE, "0000:00:02.0\nnonsense\n"),
    (DROP_IN, "# nothing yet\n"),
    (
        "/lab/devices/0000:00:02.0/modalias",
        "pci:v00001234d00001111sv00001AF4sd00001100bc03sc00i00\n",
    ),
    ("/lab/devices/0000:00:02.0/boot_vga", "1\n"),
];

/// Only the administrator's files are left of all that has to do with pciseize.
fn assert_only_own_files(step: &Step) {
    let own = [FILE, DROP_IN].map(|file| format!(".{file}"));
    assert_eq!(step.files, own, "{}", step.log);
}

/// The program is there, and nothing has enabled the unit.
fn assert_installed_and_off(step: &Step) {
    let is_there = |part: &str| step.files.iter().any(|file| file.contains(part));
    assert!(is_there("./usr/sbin/pciseize"), "{:?}", step.files);
    assert!(!is_there("./etc/systemd/"), "{:?}", step.files);
}

/// What an image has if it has pciseize.
const IN_IMAGE: [&str; 3] = ["usr/sbin/pciseize", "/xen-pciback.ko", "etc/xen/pciback"];

/// Installing, upgrading and removing make the images anew, once each, and the warnings of `check`
/// and `plan` are in what apt says. The administrator's files stay.
fn lives(life: &Life, maker: Maker) -> Result<()> {
    for (name, is_there) in [
        ("before", false),
        ("install", true),
        ("upgrade", true),
        ("remove", false),
        ("again", true),
        ("purge", false),
    ] {
        let step = life.step(name)?;
        let place = format!("{name} with {}", maker.name());
        assert_eq!(step.images.len(), 1, "{place}: {}", step.log);
        for part in IN_IMAGE {
            assert_eq!(
                step.contents.contains(part),
                is_there,
                "{place}: {part}:\n{}",
                step.contents
            );
        }
        for words in ["\"nonsense\": expected", "it is the boot display"] {
            let mut lines = step.log.lines();
            let is_told = lines.any(|line| line.contains("pciseize: ") && line.contains(words));
            assert_eq!(is_told, is_there, "{place}: {words}:\n{}", step.log);
        }
        if is_there {
            assert_installed_and_off(&step);
        } else {
            assert_only_own_files(&step);
        }
    }
    let upgrade = life.step("upgrade")?.log;
    assert!(upgrade.contains("+newer) over ("), "{upgrade}");
    Ok(())
}

fn lives_with_one_kernel(suite: Suite, maker: Maker) -> Result<()> {
    let life = Life::of(&Packages::build()?.deb, suite, maker, &OWN)?;
    lives(&life, maker)
}

/// The same, and the trigger leaves the image of the older kernel as it was. Where that kernel
/// runs, `status` names it, and the command that it tells makes the images of both.
fn lives_with_two_kernels(suite: Suite, maker: Maker) -> Result<()> {
    const OLDER: &str = "5.10.0-1-amd64";
    let life = Life::with_two_kernels(&Packages::build()?.deb, suite, maker, &OWN)?;
    lives(&life, maker)?;
    let install = life.step("install")?;
    assert_ne!(install.contents_older, "");
    assert_eq!(install.contents_older, life.step("before")?.contents);

    let told = life.step("status")?.log;
    let name = format!("this boot is of Linux {OLDER}\n");
    assert!(told.contains(&name), "{told}");
    let all = life.step("all")?;
    let mut images = all.images;
    images.sort();
    assert!(
        matches!(&*images, [first, second] if first == OLDER && second != OLDER),
        "{told}made of {images:?}:\n{}",
        all.log
    );
    let modules = format!("/lib/modules/{OLDER}/");
    for contents in [&all.contents, &all.contents_older] {
        let is_older = contents.contains(&modules);
        assert_eq!(is_older, *contents == all.contents_older, "{contents}");
        for part in IN_IMAGE {
            assert!(contents.contains(part), "{part}:\n{contents}");
        }
    }
    Ok(())
}

#[test]
fn lives_on_debian_12_with_initramfs_tools() -> Result<()> {
    lives_with_two_kernels(Suite::Bookworm, Maker::InitramfsTools)
}

/// This dracut's trigger makes the images of all kernels.
#[test]
fn lives_on_debian_12_with_dracut() -> Result<()> {
    lives_with_one_kernel(Suite::Bookworm, Maker::Dracut)
}

#[test]
fn lives_on_debian_13_with_initramfs_tools() -> Result<()> {
    lives_with_one_kernel(Suite::Trixie, Maker::InitramfsTools)
}

#[test]
fn lives_on_debian_13_with_dracut() -> Result<()> {
    lives_with_two_kernels(Suite::Trixie, Maker::Dracut)
}

#[test]
#[ignore = "a suite that moves must not stop a change: make check-packages-sid"]
fn lives_on_sid_with_initramfs_tools() -> Result<()> {
    lives_with_two_kernels(Suite::Sid, Maker::InitramfsTools)
}

#[test]
#[ignore = "a suite that moves must not stop a change: make check-packages-sid"]
fn lives_on_sid_with_dracut() -> Result<()> {
    lives_with_two_kernels(Suite::Sid, Maker::Dracut)
}

/// The image that apt has made boots, and gives the listed devices to pciback. Once the package is
/// removed, the image boots as well, and dom0's drivers have them.
fn boots_in_debian(suite: Suite, maker: Maker) -> Result<()> {
    let own = [(FILE, &*board::configuration())];
    let life = Life::with_boots(&Packages::build()?.deb, suite, maker, &own)?;
    let name = |step: &str| format!("package-{step}-{}-{}", suite.name(), maker.name());
    let seen = Machine::dom0(&life.image("install", suite)?).boot(&name("installed"))?;
    assert_listed_seized(&seen)?;
    let seen = Machine::dom0(&life.image("remove", suite)?).boot(&name("removed"))?;
    for pair in &PAIRS {
        assert_claimed(&seen, pair.listed, pair.driver);
    }
    assert_eq!(seen.pciseize_log(), "");
    Ok(())
}

#[test]
fn boots_on_debian_12_with_initramfs_tools() -> Result<()> {
    boots_in_debian(Suite::Bookworm, Maker::InitramfsTools)
}

#[test]
fn boots_on_debian_12_with_dracut() -> Result<()> {
    boots_in_debian(Suite::Bookworm, Maker::Dracut)
}

#[test]
fn boots_on_debian_13_with_initramfs_tools() -> Result<()> {
    boots_in_debian(Suite::Trixie, Maker::InitramfsTools)
}

#[test]
fn boots_on_debian_13_with_dracut() -> Result<()> {
    boots_in_debian(Suite::Trixie, Maker::Dracut)
}

/// The same of rpm, with a program in place of dracut that counts its calls. Where there is no
/// dracut, nothing fails.
#[test]
fn lives_with_rpm() -> Result<()> {
    let packages = Packages::build()?;
    let life = Life::of(&packages.rpm, Suite::Bookworm, Maker::StandIn, &OWN)?;
    for name in ["install", "upgrade"] {
        let step = life.step(name)?;
        assert_eq!(
            step.images,
            ["--force --regenerate-all"],
            "{name}: {}",
            step.log
        );
        assert_installed_and_off(&step);
    }
    let step = life.step("remove")?;
    assert_eq!(step.images, ["--force --regenerate-all"], "{}", step.log);
    assert_only_own_files(&step);
    assert_installed_and_off(&life.step("without-dracut")?);
    let step = life.step("removed-without-dracut")?;
    assert!(!step.log.contains("scriptlet"), "{}", step.log);
    assert_only_own_files(&step);

    // A script that names the unit could start it.
    let scripts = answer("rpm -qp --scripts --triggers", &packages.rpm.package)?;
    assert!(scripts.contains("--regenerate-all"), "{scripts}");
    for word in ["systemctl", ".service", "systemd"] {
        assert!(!scripts.contains(word), "{scripts}");
    }
    Ok(())
}

/// Fedora since 42 has one folder for programs, and old rpm neither weak dependencies nor any other
/// packing than gzip.
#[test]
fn an_rpm_suits_other_distributions() -> Result<()> {
    let packages = Packages::build()?;
    let about = "rpm -qp --recommends --supplements --requires";
    let weak = ["hwdata", "(dracut and xen-hypervisor)"];
    let said = answer(about, &packages.rpm.package)?;
    assert!(weak.iter().all(|name| said.contains(name)), "{said}");

    let options = "--without weak_dependencies --define \"_sbindir /usr/bin\"";
    let other = package::rpm(&packages.source, options)?;
    let said = answer(about, &other)?;
    assert!(!weak.iter().any(|name| said.contains(name)), "{said}");
    assert!(!said.contains("RichDependencies"), "{said}");
    let packing = answer("rpm -qp --queryformat %{PAYLOADCOMPRESSOR}", &other)?;
    assert_eq!(packing, "gzip");
    let (usual, other) = (
        files(&packages.rpm.package, IN_RPM)?,
        files(&other, IN_RPM)?,
    );
    let moved: Vec<_> = usual.symmetric_difference(&other).collect();
    assert_eq!(moved, ["/usr/bin/pciseize", "/usr/sbin/pciseize"]);
    Ok(())
}
