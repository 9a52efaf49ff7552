//! Says which file of a crate defines what a path names.

use std::collections::{BTreeMap, BTreeSet};

use syn::{Item, ItemUse};

use super::imports::{self, Import};
use super::source::{self, File, ModulePath};

/// The modules of a crate, with those written inside a file, and the names in them.
pub(super) struct Names {
    modules: BTreeMap<ModulePath, Module>,
    /// The macros, by name, and the index of the file: `#[macro_export]` puts them at the root.
    macros: BTreeMap<String, usize>,
    /// What `main.rs` calls the library beside it.
    library: String,
}

#[derive(Default)]
struct Module {
    /// Index of the file that holds it.
    file: usize,
    /// What it defines.
    items: BTreeSet<String>,
    /// What its `use` items bring in, private ones too: its child modules see those.
    imports: BTreeMap<String, Vec<String>>,
    globs: Vec<Vec<String>>,
}

/// What a path leads to.
enum Place {
    Module(ModulePath),
    /// An item, by the file that defines it.
    Item(usize),
    OtherCrate,
}

/// The names followed so far, so that imports in a ring end.
type Seen = BTreeSet<(ModulePath, String)>;

impl Names {
    /// Reads the names of the crate in `folder`, whose library is named like it.
    pub(super) fn of(files: &[File], folder: &str) -> Self {
        let library = folder.rsplit('/').next().unwrap().replace('-', "_");
        let mut names = Self {
            modules: BTreeMap::new(),
            macros: BTreeMap::new(),
            library,
        };
        for (index, file) in files.iter().enumerate() {
            names.add_module(&file.module, index, &file.syntax.items);
        }
        names
    }

    /// Index of the file that defines what `import` names; `None` for what is of another crate or local.
    ///
    /// Follows `use` items and globs. Where a module has no such name, the module's own file counts.
    pub(super) fn file_of(&self, import: &Import) -> Option<usize> {
        let mut seen = Seen::new();
        if let [name] = import.path.as_slice() {
            // Alone, a name is only known to be an import where a `use` brings it in: otherwise it may be a variable.
            return match self.imported(&import.scope, name, &mut seen)? {
                Place::Item(file) => Some(file),
                Place::Module(_) | Place::OtherCrate => None,
            };
        }
        let path = self.rooted(&import.scope, &import.path, &mut seen)?;
        match self.walk(&path, &mut seen) {
            Place::Module(path) => Some(self.modules[&path].file),
            Place::Item(file) => Some(file),
            Place::OtherCrate => None,
        }
    }

    /// The path of an import from the root of the crate, as written: re-exports are not followed.
    pub(super) fn absolute(&self, import: &Import) -> Option<ModulePath> {
        self.rooted(&import.scope, &import.path, &mut Seen::new())
    }

    /// Whether the crate has a top-level module of this name.
    pub(super) fn is_module(&self, name: &str) -> bool {
        self.modules.contains_key(&[name.to_owned()][..])
    }

    fn add_module(&mut self, path: &[String], file: usize, items: &[Item]) {
        let mut module = Module {
            file,
            ..Module::default()
        };
        for item in items {
            if source::for_tests_only(source::attributes(item)) {
                continue;
            }
            match item {
                Item::Use(item) => module.add_use(item),
                Item::Mod(inner) => {
                    if let Some((_, items)) = &inner.content {
                        let path = [path, &[inner.ident.to_string()]].concat();
                        self.add_module(&path, file, items);
                    }
                }
                Item::Macro(item) => {
                    let name = item.ident.iter().map(ToString::to_string);
                    self.macros.extend(name.map(|name| (name, file)));
                }
                _ => module.items.extend(defined_name(item)),
            }
        }
        self.modules.insert(path.to_vec(), module);
    }

    /// Turns a path written in `scope` into one from the root; `None` where it begins in another crate.
    fn rooted(&self, scope: &[String], path: &[String], seen: &mut Seen) -> Option<ModulePath> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => return Some(rest.to_vec()),
            "self" | "super" => {
                let above = usize::from(first == "super");
                let scope = &scope[..scope.len().checked_sub(above)?];
                return match rest {
                    [next, ..] if next == "super" => self.rooted(scope, rest, seen),
                    _ => Some([scope, rest].concat()),
                };
            }
            name if name == self.library && scope == ["main"] => return Some(rest.to_vec()),
            _ => {}
        }
        let child = [scope, std::slice::from_ref(first)].concat();
        let known = self.modules.contains_key(&child)
            || self.modules.get(scope)?.items.contains(first)
            || self.imported(scope, first, &mut seen.clone()).is_some();
        known.then(|| [scope, path].concat())
    }

    fn walk(&self, path: &[String], seen: &mut Seen) -> Place {
        let mut at = ModulePath::new();
        for name in path {
            let child = [at.as_slice(), std::slice::from_ref(name)].concat();
            if self.modules.contains_key(&child) {
                at = child;
                continue;
            }
            let module = &self.modules[&at];
            if module.items.contains(name) {
                return Place::Item(module.file);
            }
            if let Some(file) = self.macros.get(name).filter(|_| at.is_empty()) {
                return Place::Item(*file);
            }
            match self.imported(&at, name, seen) {
                Some(Place::Module(path)) => at = path,
                Some(place) => return place,
                None => return Place::Item(module.file),
            }
        }
        Place::Module(at)
    }

    /// What a `use` of the module at `scope` brings in under this name.
    fn imported(&self, scope: &[String], name: &str, seen: &mut Seen) -> Option<Place> {
        if !seen.insert((scope.to_vec(), name.to_owned())) {
            return None;
        }
        let module = self.modules.get(scope)?;
        if let Some(path) = module.imports.get(name) {
            return Some(match self.rooted(scope, path, seen) {
                Some(path) => self.walk(&path, seen),
                None => Place::OtherCrate,
            });
        }
        module.globs.iter().find_map(|glob| {
            let path = self.rooted(scope, glob, seen)?;
            let Place::Module(source) = self.walk(&path, seen) else {
                return None;
            };
            self.member(source, name, seen)
        })
    }

    /// What a module defines or re-exports under this name.
    fn member(&self, module: ModulePath, name: &str, seen: &mut Seen) -> Option<Place> {
        let child = [module.as_slice(), &[name.to_owned()]].concat();
        if self.modules.contains_key(&child) {
            return Some(Place::Module(child));
        }
        let found = &self.modules[&module];
        match found.items.contains(name) {
            true => Some(Place::Item(found.file)),
            false => self.imported(&module, name, seen),
        }
    }
}

impl Module {
    fn add_use(&mut self, item: &ItemUse) {
        for leaf in imports::leaves(item) {
            match leaf.name {
                // `use bytes;` names another crate by itself: there is nothing to follow.
                Some(name) if leaf.path == [name.as_str()] => {}
                Some(name) => _ = self.imports.insert(name, leaf.path),
                None => self.globs.push(leaf.path),
            }
        }
    }
}

fn defined_name(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::TraitAlias(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}
