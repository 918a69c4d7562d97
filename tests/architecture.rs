//! Checks the imports between the rooms of the program: each room imports only what the table in
//! `src/lib.rs` allows, and imports point one way.
//!
//! The tests at the foot of a file may import anything.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

/// Rooms that every room of the library may import.
const OPEN: [&str; 2] = ["host", "text"];

/// The rooms of the program itself, which stand on the library.
const PROGRAM: [&str; 2] = ["main", "machine"];

/// The macros at the root of the library; they belong to the room `text`.
const MACROS: [&str; 3] = ["put", "show", "say"];

/// A module: the names from the root of the crate down.
type Module = Vec<String>;

/// A source file: its module, and everything that it imports.
struct File {
    path: PathBuf,
    module: Module,
    imports: BTreeSet<Module>,
    has_unsafe: bool,
}

impl File {
    fn read(path: PathBuf) -> File {
        let module = module_of(&path);
        let text = fs::read_to_string(&path).expect("a source file");
        let syntax = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        // A file `x/mod.rs` and a file `x.rs` are both the module x.
        let mut reader = Reader {
            module: &module,
            imports: BTreeSet::new(),
            has_unsafe: false,
        };
        reader.visit_file(&syntax);
        let Reader {
            imports,
            has_unsafe,
            ..
        } = reader;
        File {
            path,
            module,
            imports,
            has_unsafe,
        }
    }

    /// The room of the module: its folder or file in `src/`.
    fn room(&self) -> &str {
        room_of(&self.module)
    }
}

fn room_of(module: &[String]) -> &str {
    match module.first() {
        Some(name) if MACROS.contains(&name.as_str()) => "text",
        Some(name) => name,
        None => "lib",
    }
}

/// The module in a file.
fn module_of(path: &Path) -> Module {
    let below = path
        .strip_prefix(SOURCE)
        .expect("a file in src")
        .with_extension("");
    let mut module: Module = below
        .iter()
        .map(|name| name.to_str().expect("UTF-8").to_owned())
        .collect();
    if module
        .last()
        .is_some_and(|name| name == "mod" || name == "lib")
    {
        module.pop();
    }
    module
}

/// Collects the imports of a file.
struct Reader<'f> {
    module: &'f Module,
    imports: BTreeSet<Module>,
    has_unsafe: bool,
}

impl Reader<'_> {
    /// Records a path if it is one of this crate or of the library below the program.
    fn note(&mut self, path: &[String]) {
        let supers = path.iter().take_while(|name| *name == "super").count();
        let start: &[String] = match path.first().map(String::as_str) {
            Some("crate" | "pciseize") => &[],
            Some("self") => self.module,
            Some("super") => &self.module[..self.module.len() - supers],
            _ => return,
        };
        let rest = &path[supers.max(1)..];
        self.imports
            .insert(start.iter().chain(rest).cloned().collect());
    }

    fn note_tree(&mut self, before: &mut Module, tree: &syn::UseTree) {
        match tree {
            syn::UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.note_tree(before, &path.tree);
                before.pop();
            }
            syn::UseTree::Group(group) => {
                group
                    .items
                    .iter()
                    .for_each(|tree| self.note_tree(before, tree));
            }
            syn::UseTree::Name(syn::UseName { ident })
            | syn::UseTree::Rename(syn::UseRename { ident, .. }) => {
                let mut path = before.clone();
                if ident != "self" || path.is_empty() {
                    path.push(ident.to_string());
                }
                self.note(&path);
            }
            syn::UseTree::Glob(_) => self.note(before),
        }
    }

    /// Records the paths in the tokens of a macro.
    fn note_tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for (at, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Group(group) => self.note_tokens(group.stream()),
                TokenTree::Ident(ident) if ident == "crate" || ident == "super" => {
                    let names = tokens[at..].iter().map_while(|token| match token {
                        TokenTree::Ident(name) => Some(Some(name.to_string())),
                        TokenTree::Punct(punct) if punct.as_char() == ':' => Some(None),
                        _ => None,
                    });
                    let path: Module = names.flatten().collect();
                    self.note(&path);
                }
                TokenTree::Ident(ident) => self.has_unsafe |= ident == "unsafe",
                _ => {}
            }
        }
    }
}

impl<'s> Visit<'s> for Reader<'_> {
    fn visit_item_mod(&mut self, module: &'s syn::ItemMod) {
        let is_test = module
            .attrs
            .iter()
            .any(|attribute| attribute.path().is_ident("cfg"));
        if !is_test {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_use(&mut self, item: &'s syn::ItemUse) {
        self.note_tree(&mut Vec::new(), &item.tree);
    }

    fn visit_path(&mut self, path: &'s syn::Path) {
        let path_names: Module = path.segments.iter().map(|s| s.ident.to_string()).collect();
        if path_names.len() > 1 {
            self.note(&path_names);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'s syn::Macro) {
        self.note_tokens(item.tokens.clone());
        visit::visit_macro(self, item);
    }

    fn visit_expr_unsafe(&mut self, block: &'s syn::ExprUnsafe) {
        self.has_unsafe = true;
        visit::visit_expr_unsafe(self, block);
    }

    fn visit_signature(&mut self, signature: &'s syn::Signature) {
        self.has_unsafe |= signature.unsafety.is_some();
        visit::visit_signature(self, signature);
    }

    fn visit_item_impl(&mut self, item: &'s syn::ItemImpl) {
        self.has_unsafe |= item.unsafety.is_some();
        visit::visit_item_impl(self, item);
    }

    fn visit_attribute(&mut self, attribute: &'s syn::Attribute) {
        // An unsafe attribute: `#[unsafe(no_mangle)]`.
        self.has_unsafe |= attribute.path().is_ident("unsafe");
    }
}

/// Every file of `src/`.
fn files() -> Vec<File> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::from(SOURCE)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of src") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                files.push(File::read(path));
            }
        }
    }
    assert!(files.len() > 40, "only {} files", files.len());
    files
}

/// The table in `src/lib.rs`: each room, with the rooms that it may import.
fn rules() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(Path::new(SOURCE).join("lib.rs")).expect("src/lib.rs");
    let rows = text
        .lines()
        .filter_map(|line| line.strip_prefix("//! | [`"));
    let names = |cell: &str| -> BTreeSet<String> {
        cell.split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').collect();
        let [name, _, imports, ""] = cells[..] else {
            panic!("not three cells: {row}")
        };
        let name = name
            .trim()
            .strip_suffix("`]")
            .expect("the name of a room")
            .to_owned();
        (name, names(imports))
    })
    .collect()
}

#[test]
fn every_room_is_in_the_table() {
    let rooms: BTreeSet<String> = files()
        .iter()
        .map(|file| file.room().to_owned())
        .filter(|room| room != "lib" && !PROGRAM.contains(&room.as_str()))
        .collect();
    let table: BTreeSet<String> = rules().into_keys().collect();
    assert_eq!(rooms, table);
}

#[test]
fn rooms_import_what_the_table_says() {
    let rules = rules();
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files() {
        let room = file.room();
        let Some(allowed) = rules.get(room) else {
            continue;
        };
        for import in &file.imports {
            let other = room_of(import);
            if other == room || other == "lib" {
                continue;
            }
            let is_open = OPEN.contains(&other) && !OPEN.contains(&room);
            assert!(
                is_open || allowed.contains(other),
                "{} imports {}, which the table in src/lib.rs does not allow",
                file.path.display(),
                import.join("::")
            );
            used.entry(room.to_owned())
                .or_default()
                .insert(other.to_owned());
        }
    }
    for (room, allowed) in &rules {
        let used = used.remove(room).unwrap_or_default();
        let unused: Vec<_> = allowed.difference(&used).collect();
        assert!(
            unused.is_empty(),
            "{room} may import {unused:?} by the table, and does not"
        );
    }
}

/// No room imports itself through others, however many.
#[test]
fn the_table_points_one_way() {
    let mut left = rules();
    while !left.is_empty() {
        let rooms: BTreeSet<String> = left.keys().cloned().collect();
        let is_top = |room: &String| left.values().any(|imports| imports.contains(room));
        let above: Vec<_> = rooms.iter().filter(|room| !is_top(room)).cloned().collect();
        assert!(!above.is_empty(), "a circle among {rooms:?}");
        above.iter().for_each(|room| drop(left.remove(room)));
    }
}

/// Files have no circles either. Imports between a folder's `mod.rs` and the files in it do not
/// count.
#[test]
fn files_have_no_circle() {
    let files = files();
    let modules: BTreeSet<&Module> = files.iter().map(|file| &file.module).collect();
    let file_of = |import: &Module| {
        (0..=import.len())
            .rev()
            .map(|length| import[..length].to_vec())
            .find(|m| modules.contains(m))
    };
    let mut left: BTreeMap<&Module, BTreeSet<Module>> = files
        .iter()
        .map(|file| {
            let others = file.imports.iter().filter_map(file_of).filter(|other| {
                !other.starts_with(&file.module) && !file.module.starts_with(other)
            });
            (&file.module, others.collect())
        })
        .collect();
    loop {
        let is_used = |module: &Module| left.values().any(|imports| imports.contains(module));
        let above: Vec<_> = left
            .keys()
            .filter(|module| !is_used(module))
            .copied()
            .collect();
        if above.is_empty() {
            break;
        }
        above.iter().for_each(|module| drop(left.remove(module)));
    }
    assert!(left.is_empty(), "circles in, or below, {:#?}", left.keys());
}

#[test]
fn only_the_machine_is_unsafe() {
    let mut is_seen = false;
    for file in files() {
        is_seen |= file.has_unsafe;
        let is_machine = file.room() == "machine";
        assert!(
            is_machine || !file.has_unsafe,
            "{} has unsafe",
            file.path.display()
        );
    }
    assert!(
        is_seen,
        "even the machine has none: this test does not see it"
    );
}

/// Only the C library and nix make system calls, and the C library starts the program.
#[test]
fn nothing_is_assembler() {
    for file in files() {
        let text = fs::read_to_string(&file.path).expect("a source file");
        assert!(
            !text.contains("asm!"),
            "{} has assembler",
            file.path.display()
        );
    }
}
