//! Puts the configuration into the program, and links the program into one static file.
//!
//! 1. The library's own parser reads the file that `PCISEIZE_CONFIG` names. A bad item fails the
//!    build, with its place. The text then becomes the section `.pciseize`.
//! 2. A release build for a glibc target is linked with GNU ld against the `libc.a` and the start
//!    files of musl. `.cargo/config.toml` is no place for this: flags in it reach build scripts and
//!    macros too, and break `cargo test`. Tests and clippy use the host's defaults.

// The modules of the library that the parser needs. Most of each is unused here.
#![allow(dead_code, unused_imports)]

#[path = "src/host/mod.rs"]
mod host;
#[path = "src/pci/mod.rs"]
mod pci;
#[path = "src/request/mod.rs"]
mod request;
#[path = "src/text/mod.rs"]
mod text;

use std::{
    env, fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use request::{Request, source::embedded};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=static.ld");
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rerun-if-env-changed=PCISEIZE_CONFIG");
    println!("cargo::rerun-if-env-changed=PCISEIZE_MUSL_DIR");
    println!("cargo::rerun-if-env-changed=PCISEIZE_TRIPWIRES");
    let out = PathBuf::from(variable("OUT_DIR"));
    let result = embed(&out).and_then(|()| {
        // On a musl target rustc brings its own libc and start files. The program is static there
        // too, but has no tripwires.
        let glibc = variable("CARGO_CFG_TARGET_ENV") == "gnu";
        if variable("PROFILE") == "release" && glibc {
            link_statically(&out)
        } else {
            Ok(())
        }
    });
    if let Err(messages) = result {
        for message in messages {
            println!("cargo::error={message}");
        }
    }
}

/// The value of a variable that cargo always sets.
fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

/// Checks the configuration and writes the section that the program includes.
fn embed(out: &Path) -> Result<(), Vec<String>> {
    let section = match env::var_os("PCISEIZE_CONFIG") {
        None => checked(Path::new("PCISEIZE_CONFIG"), b"")?,
        Some(name) => {
            let path = PathBuf::from(&name);
            println!("cargo::rerun-if-changed={}", path.display());
            checked(
                &path,
                &fs::read(&path)
                    .map_err(|e| vec![format!("PCISEIZE_CONFIG={}: {e}", path.display())])?,
            )?
        }
    };
    fs::write(out.join("section"), section).map_err(|e| vec![e.to_string()])
}

/// The section that carries the text, after the program's own reader found no problem in it.
fn checked(path: &Path, text: &[u8]) -> Result<[u8; embedded::SECTION_SIZE], Vec<String>> {
    let mut messages = Vec::new();
    let mut tell =
        |line: &text::Line| messages.push(String::from_utf8_lossy(line.bytes()).into_owned());
    let checked = embedded::checked(
        &mut Box::new(Request::new()),
        path.display().to_string().as_bytes(),
        text,
        &mut tell,
    );
    checked.map(|(section, _)| section).ok_or(messages)
}

/// Makes cargo link the program statically, without heap and without panics.
fn link_statically(out: &Path) -> Result<(), Vec<String>> {
    let musl = match env::var_os("PCISEIZE_MUSL_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(format!(
            "/usr/lib/{}-linux-musl",
            variable("CARGO_CFG_TARGET_ARCH")
        )),
    };
    let library = musl.join("libc.a");
    if !library.is_file() {
        return Err(vec![format!(
            "{} is missing: install the package musl-dev \
             (or name musl's folder in PCISEIZE_MUSL_DIR)",
            library.display()
        )]);
    }
    let libraries = out.join("lib");
    stand_ins(&musl, &libraries).map_err(|e| vec![format!("{}: {e}", libraries.display())])?;
    let script = script(out).map_err(|e| vec![format!("static.ld: {e}")])?;

    // The start files come before `-lc`: crt1.o asks the C library for `__libc_start_main`.
    for file in ["crt1.o", "crti.o"] {
        println!("cargo::rustc-link-arg-bins={}", musl.join(file).display());
    }
    for flag in [
        // lld, rustc's own linker, keeps `.eh_frame`, and the personality routine that it names
        // keeps all of std.
        "-fuse-ld=bfd".to_owned(),
        // Nothing is loaded at run time: the initramfs may have no libc.
        "-static".to_owned(),
        // A position-independent program relocates itself when it starts. Through musl-gcc it
        // silently becomes a dynamic one.
        "-no-pie".to_owned(),
        // The compiler's own start files are those of glibc.
        "-nostartfiles".to_owned(),
        format!("-L{}", libraries.display()),
        "-lc".to_owned(),
        // Drops what is never called: nearly all of std.
        "-Wl,--gc-sections".to_owned(),
        // One segment for code and constants: a page less in memory at each border.
        "-Wl,-z,noseparate-code".to_owned(),
        // Data begins in the file right behind that, and not with a page of its own: up to 4 KiB.
        "-Wl,-z,common-page-size=64".to_owned(),
        "-Wl,-z,norelro".to_owned(),
        // The same source gives the same file.
        "-Wl,--build-id=none".to_owned(),
        // Each linker warning so far was a broken program.
        "-Wl,--fatal-warnings".to_owned(),
        // Drops what nobody reads. Fails if a panic or the allocator gets in.
        format!("-Wl,-T,{}", script.display()),
        // The ends of the functions that crti.o begins.
        musl.join("crtn.o").display().to_string(),
    ] {
        println!("cargo::rustc-link-arg-bins={flag}");
    }
    if tripwires_are_off() {
        // The std that a panic brings in asks for `stat64` and the like, which musl does not have
        // since 1.2.4. Nobody runs this program.
        println!("cargo::rustc-link-arg-bins=-Wl,--unresolved-symbols=ignore-all");
    }
    Ok(())
}

/// Whether a program with a panic path is wanted: `make why-panic` looks at one.
fn tripwires_are_off() -> bool {
    env::var_os("PCISEIZE_TRIPWIRES").is_some_and(|value| value == "off")
}

/// The linker script. Without tripwires it refuses nothing.
fn script(out: &Path) -> io::Result<PathBuf> {
    let script = Path::new(&variable("CARGO_MANIFEST_DIR")).join("static.ld");
    if !tripwires_are_off() {
        return Ok(script);
    }
    let text = fs::read_to_string(&script)?;
    let without = out.join("without-tripwires.ld");
    fs::write(&without, text.split("ASSERT").next().unwrap_or_default())?;
    Ok(without)
}

/// Makes a folder with musl's `libc.a`, and with an empty archive for every other library that
/// rustc asks for on a glibc target, so that the linker finds neither glibc nor musl's `libc.so`.
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
