//! Initramfs images: the generator, and the files that were added to the root tree first.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::arm;
use super::cache::{self, Ingredients};
use super::debian::{self, Debian, Suite};
use super::product::Product;
use super::{progress, repository, tool};

/// The generator of the image.
#[derive(Clone, Copy)]
pub enum Generator {
    InitramfsTools,
    /// dracut, with systemd as the image's first process.
    Dracut,
    /// dracut, with its own shell script as the first process.
    DracutWithoutSystemd,
    /// dracut, with systemd and without any shell: nothing but native units and generators.
    DracutWithoutShell,
    /// No generator: busybox, some drivers, pciseize and its files, and the file `/lab/init` of the
    /// root tree as the first program.
    Busybox,
    /// dracut, for the machine that makes the image ("host-only").
    DracutForThisHost,
    /// The stand-in for mkinitcpio, which is the file `/lab/mkinitcpio` of the root tree. The file
    /// `/lab/hooks` lists its hooks.
    Mkinitcpio,
}

impl Generator {
    /// The name that `make-initramfs` uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::InitramfsTools => "initramfs-tools",
            Self::Dracut => "dracut",
            Self::DracutWithoutSystemd => "dracut-without-systemd",
            Self::DracutWithoutShell => "dracut-without-shell",
            Self::Busybox => "busybox",
            Self::DracutForThisHost => "dracut-for-this-host",
            Self::Mkinitcpio => "mkinitcpio",
        }
    }
}

/// The processors of the machine.
#[derive(Clone, Copy, PartialEq)]
pub enum Architecture {
    Amd64,
    /// 64-bit ARM.
    Arm64,
}

/// An image to be made.
pub struct Image {
    generator: Generator,
    architecture: Architecture,
    suite: Suite,
    /// What the root tree has besides.
    packages: Vec<&'static str>,
    product: Option<Product>,
    files: Vec<(String, String)>,
    has_pciback: bool,
}

/// A finished image.
pub struct Initramfs {
    pub architecture: Architecture,
    pub debian: Debian,
    pub file: PathBuf,
    /// The output of the generator and its hooks.
    pub build_log: String,
    /// The names of all files in the image, one a line.
    pub contents: String,
}

impl Initramfs {
    /// Whether some folder of the image has a file of this name.
    pub fn has(&self, name: &str) -> bool {
        self.contents
            .lines()
            .any(|path| path.rsplit('/').next() == Some(name))
    }
}

impl Image {
    /// A Debian 12 image without pciseize.
    pub fn stock(generator: Generator) -> Self {
        Self {
            generator,
            architecture: Architecture::Amd64,
            suite: Suite::Bookworm,
            packages: Vec::new(),
            product: None,
            files: Vec::new(),
            has_pciback: true,
        }
    }

    /// An image with pciseize installed in the root tree.
    pub fn with(generator: Generator, product: &Product) -> Self {
        Self {
            product: Some(product.clone()),
            ..Self::stock(generator)
        }
    }

    /// Makes the image for machines of this architecture.
    pub fn for_machines_of(mut self, architecture: Architecture) -> Self {
        self.architecture = architecture;
        self
    }

    /// Uses this Debian for the image.
    pub fn on(mut self, suite: Suite) -> Self {
        self.suite = suite;
        self
    }

    /// Has these packages in the root tree of the image, and on the machine's root disk.
    pub fn with_packages(mut self, names: &[&'static str]) -> Self {
        self.packages.extend(names);
        self
    }

    /// Adds a file to the root tree of the image. If the text begins with `#!`, the file is
    /// executable.
    pub fn file(mut self, path: &str, text: &str) -> Self {
        self.files.push((path.to_owned(), text.to_owned()));
        self
    }

    /// Removes the module xen-pciback from the root tree.
    pub fn without_pciback(mut self) -> Self {
        self.has_pciback = false;
        self
    }

    /// Gets the image from the cache, or makes it.
    pub fn build(&self) -> Result<Initramfs> {
        let debian = match self.architecture {
            Architecture::Amd64 if self.packages.is_empty() => debian::debian(self.suite)?,
            Architecture::Amd64 => debian::debian_with(self.suite, &self.packages)?,
            // Nothing that is tried there needs more packages.
            Architecture::Arm64 => arm::debian(self.suite)?,
        };
        let script = repository().join("tests/vm/lab/make-initramfs");
        let variant = if self.has_pciback {
            "with-xen-pciback"
        } else {
            "without-xen-pciback"
        };
        let product = self
            .product
            .as_ref()
            .map(|product| product.tree.display().to_string());
        let mut ingredients = Ingredients::of("initramfs")
            .with("debian", &debian.identity)
            .with("script", fs::read(&script)?)
            .with("generator", self.generator.name())
            .with("variant", variant)
            .with("product", product.unwrap_or_default());
        for (path, text) in &self.files {
            ingredients = ingredients.with(path, text);
        }

        let entry = cache::entry(&ingredients, 32, |entry| {
            let title = format!("making an initramfs with {}", self.generator.name());
            progress::step(&title, || {
                let work = entry.join("work");
                self.lay_out(&work)?;
                let mut command = tool::as_root("unshare");
                command
                    .args(["--mount", "--propagation", "private"])
                    .arg(&script);
                command.arg(&debian.root).arg(&work);
                command.args([self.generator.name(), &debian.release, variant]);
                let said = tool::run(command)?;
                fs::write(entry.join("build.log"), said)?;
                for file in ["initrd.img", "contents"] {
                    fs::rename(work.join(file), entry.join(file))?;
                }
                let mut command = tool::as_root("rm");
                command.arg("-rf").arg(&work);
                tool::run(command)?;
                Ok(())
            })
        })?;
        let text = |name: &str| fs::read_to_string(entry.join(name));
        Ok(Initramfs {
            architecture: self.architecture,
            debian,
            build_log: text("build.log")?,
            contents: text("contents")?,
            file: entry.join("initrd.img"),
        })
    }

    /// Fills `upper`, the folder that is mounted over the root tree.
    fn lay_out(&self, work: &Path) -> Result<()> {
        let upper = work.join("upper");
        fs::create_dir_all(&upper)?;
        if let Some(product) = &self.product {
            let mut command = tool::as_root("cp");
            command
                .args(["-a", "--no-preserve=ownership"])
                .arg(product.tree.join("."))
                .arg(&upper);
            tool::run(command)?;
        }
        for (path, text) in &self.files {
            let file = upper.join(path.trim_start_matches('/'));
            if let Some(folder) = file.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(&file, text)?;
            if text.starts_with("#!") {
                fs::set_permissions(&file, Permissions::from_mode(0o755))?;
            }
        }
        Ok(())
    }
}
