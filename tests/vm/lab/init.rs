//! A dom0 whose first program is not systemd, and in which an administrator has enabled pciseize.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::cache::{self, Ingredients};
use super::debian::{self, Suite, debian};
use super::machine::Machine;
use super::product::Product;
use super::{progress, repository, tool};

/// What runs the scripts in `/etc/init.d`.
#[derive(Clone, Copy)]
pub enum Init {
    Sysvinit,
    OpenRc,
}

/// Replaces the first program once everything is on the real root: makes the root the tree with
/// sysvinit, and continues as its first program. The last script of its boot collects the evidence.
const FIRST: &str = "#!/bin/sh
cd /
xargs rm -f </lab/removed
tar -xf /lab/tree.tar
printf '#!/bin/sh\\nexec /test-init\\n' >/etc/rc.local
chmod 755 /etc/rc.local
exec /sbin/init
";

impl Init {
    fn name(self) -> &'static str {
        match self {
            Self::Sysvinit => "sysvinit",
            Self::OpenRc => "openrc",
        }
    }

    /// Its packages in Debian 12, as far as the root tree does not have them.
    fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Sysvinit => &[
                "sysvinit-core",
                "initscripts",
                "insserv",
                "startpar",
                "sysv-rc",
            ],
            Self::OpenRc => &["openrc", "insserv", "libeinfo1", "librc1"],
        }
    }

    /// The commands by which the guide installs and enables the script.
    pub fn guide(self) -> Result<String> {
        let guide = fs::read_to_string(repository().join("docs/guide.md"))?;
        let script = format!("pciseize.{}", self.name());
        let blocks = guide.split("```sh\n").skip(1);
        let mut blocks = blocks.filter_map(|rest| Some(rest.split_once("```")?.0));
        let block = blocks.find(|block| block.contains(&script));
        Ok(block
            .with_context(|| format!("the guide has no commands with {script}"))?
            .to_owned())
    }

    /// Gives the machine pciseize and this init, with these commands run by the administrator.
    pub fn on<'a>(
        self,
        machine: Machine<'a>,
        product: &Product,
        commands: &str,
    ) -> Result<Machine<'a>> {
        let tree = self.tree(product, commands)?;
        Ok(machine
            .installed(product)
            .program("lab/tree.tar", &tree.join("tree.tar"))
            .program("lab/removed", &tree.join("removed"))
            .file("lab/init", FIRST))
    }

    /// What these commands say in a tree with pciseize and this init.
    pub fn said(self, product: &Product, commands: &str) -> Result<String> {
        Ok(fs::read_to_string(
            self.tree(product, commands)?.join("said"),
        )?)
    }

    fn tree(self, product: &Product, commands: &str) -> Result<PathBuf> {
        let debian = debian(Suite::Bookworm)?;
        let packages = debian::packages(Suite::Bookworm, self.packages())?;
        let script = repository().join("tests/vm/lab/other-init");
        let ingredients = Ingredients::of("init")
            .with("debian", &debian.identity)
            .with("packages", packages.display().to_string())
            .with("product", product.tree.display().to_string())
            .with("script", fs::read(&script)?)
            .with("commands", commands);
        cache::entry(&ingredients, 4, |entry| {
            progress::step(&format!("installing {} into a folder", self.name()), || {
                let lab = entry.join("upper/lab");
                fs::create_dir_all(&lab)?;
                for package in fs::read_dir(&packages)? {
                    let package = package?;
                    fs::copy(package.path(), lab.join(package.file_name()))?;
                }
                let mut command = tool::as_root("unshare");
                command
                    .args(["--mount", "--propagation", "private"])
                    .args([&script, &debian.root, &product.tree])
                    .arg(entry)
                    .arg(commands);
                tool::run(command)?;
                let mut command = tool::as_root("rm");
                command
                    .arg("-rf")
                    .args(["upper", "overlay", "merged"].map(|tree| entry.join(tree)));
                tool::run(command)?;
                Ok(())
            })
        })
    }
}
