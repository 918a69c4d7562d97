//! Builds the configuration into the program, and the program into one static file.
//!
//! 1. The text that `PCISEIZE_CONFIG` names is read by the library's own parser: a bad item fails the build, where it stands. Then it becomes the section `.pciseize`.
//! 2. In release builds for a glibc target the program is linked with GNU ld against the `libc.a` of musl; on x86-64 without its start files (cfg `alone`). There is no `.cargo/config.toml` for that: flags given there also reach build scripts and macros,
//!    and break `cargo test`. Tests and clippy use the host's defaults.

// The library's modules, of which only the parser is used here.
#![allow(dead_code)]

#[path = "src/host.rs"]
mod host;
#[path = "src/lines.rs"]
mod lines;
#[path = "src/pci/mod.rs"]
mod pci;
#[path = "src/request/mod.rs"]
mod request;
#[path = "src/text.rs"]
mod text;

use std::{
    env, fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use request::{Request, embedded};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=static.ld");
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rerun-if-env-changed=PCISEIZE_CONFIG");
    println!("cargo::rerun-if-env-changed=PCISEIZE_MUSL_DIR");
    let out = PathBuf::from(variable("OUT_DIR"));
    println!("cargo::rustc-check-cfg=cfg(alone)");
    let result = embed(&out).and_then(|()| {
        // On a musl target rustc brings its own libc and start files. The binary is static there too, but has no tripwires.
        let glibc = variable("CARGO_CFG_TARGET_ENV") == "gnu";
        if variable("PROFILE") == "release" && glibc { link_statically(&out) } else { Ok(()) }
    });
    if let Err(messages) = result {
        for message in messages {
            println!("cargo::error={message}");
        }
    }
}

/// A variable that cargo always sets.
fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

/// Checks the configuration and writes the section that `src/main.rs` includes.
fn embed(out: &Path) -> Result<(), Vec<String>> {
    let section = match env::var_os("PCISEIZE_CONFIG") {
        None => checked(Path::new("PCISEIZE_CONFIG"), b"")?,
        Some(name) => {
            let path = PathBuf::from(&name);
            println!("cargo::rerun-if-changed={}", path.display());
            checked(&path, &fs::read(&path).map_err(|e| vec![format!("PCISEIZE_CONFIG={}: {e}", path.display())])?)?
        }
    };
    fs::write(out.join("section"), section).map_err(|e| vec![e.to_string()])
}

/// The section that carries the text, once it was read as the program will read it.
fn checked(path: &Path, text: &[u8]) -> Result<[u8; embedded::SECTION_SIZE], Vec<String>> {
    let mut messages = Vec::new();
    let mut tell = |line: &text::Line| messages.push(String::from_utf8_lossy(line.bytes()).into_owned());
    let checked = embedded::checked(&mut Box::new(Request::new()), path.display().to_string().as_bytes(), text, &mut tell);
    checked.map(|(section, _)| section).ok_or(messages)
}

/// Has the program linked statically, without heap and without panics.
fn link_statically(out: &Path) -> Result<(), Vec<String>> {
    let musl = match env::var_os("PCISEIZE_MUSL_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(format!("/usr/lib/{}-linux-musl", variable("CARGO_CFG_TARGET_ARCH"))),
    };
    let library = musl.join("libc.a");
    if !library.is_file() {
        return Err(vec![format!("{} is missing: install the package musl-dev (or name musl's folder in PCISEIZE_MUSL_DIR)", library.display())]);
    }
    // Where `src/main.rs` has first instructions of its own, the C library's are left out.
    let is_alone = variable("CARGO_CFG_TARGET_ARCH") == "x86_64";
    if is_alone {
        println!("cargo::rustc-cfg=alone");
    }
    let start_files: &[&str] = if is_alone { &[] } else { &["crt1.o", "crti.o", "crtn.o"] };
    let libraries = out.join("lib");
    stand_ins(&musl, &libraries).map_err(|e| vec![format!("{}: {e}", libraries.display())])?;
    let script = Path::new(&variable("CARGO_MANIFEST_DIR")).join("static.ld");

    for flag in [
        // rustc's own linker, lld, keeps `.eh_frame`, and through the personality routine named there all of std.
        "-fuse-ld=bfd".to_owned(),
        // Nothing is loaded at run time: the initramfs may have no libc at all.
        "-static".to_owned(),
        // A position-independent program would need relocating at its start, and through musl-gcc silently becomes a dynamic one.
        "-no-pie".to_owned(),
        // The compiler's start files are glibc's.
        "-nostartfiles".to_owned(),
        format!("-L{}", libraries.display()),
        "-lc".to_owned(),
        // Only for a clear message: with a panic all of std comes in and asks for the unwinder, and ld would complain of that before it comes to the tripwires. Otherwise nothing of it is linked.
        "-lgcc_eh".to_owned(),
        // What is not called is not kept. Here that is nearly all of std.
        "-Wl,--gc-sections".to_owned(),
        // The same source gives the same file.
        "-Wl,--build-id=none".to_owned(),
        // A warning of the linker's has always been a broken binary here.
        "-Wl,--fatal-warnings".to_owned(),
        // Lays the file out, drops what nobody reads, and fails where a panic or the allocator gets in.
        format!("-Wl,-T,{}", script.display()),
    ] {
        println!("cargo::rustc-link-arg-bins={flag}");
    }
    for file in start_files {
        println!("cargo::rustc-link-arg-bins={}", musl.join(file).display());
    }
    Ok(())
}

/// A folder with musl's `libc.a` and nothing behind the other names that rustc asks for on a glibc target: there must be no way to find glibc's, or musl's `libc.so`.
fn stand_ins(musl: &Path, folder: &Path) -> io::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir(folder)?;
    symlink(musl.join("libc.a"), folder.join("libc.a"))?;
    for name in ["gcc_s", "util", "rt", "pthread", "m", "dl"] {
        fs::write(folder.join(format!("lib{name}.a")), b"!<arch>\n")?;
    }
    Ok(())
}
