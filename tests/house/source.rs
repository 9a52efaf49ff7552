//! Finds and parses the files of a crate, without those that only tests compile.

use std::collections::BTreeSet;
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use syn::{Attribute, Item, ItemMod, Meta};

/// A module path below the root of its crate: `[]` is `lib.rs`, `["proxy", "body"]` is `proxy/body.rs`.
pub(super) type ModulePath = Vec<String>;

/// A parsed file of a crate.
pub(super) struct File {
    /// Path from the root of the repository, with `/`.
    pub(super) path: String,
    /// The module that the file is.
    pub(super) module: ModulePath,
    pub(super) syntax: syn::File,
}

/// Parses every file of the crate in `folder`, for example `plugins/auth`, under the repository `root`.
///
/// Leaves out the files of modules declared under `#[cfg(test)]`.
pub(super) fn crate_files(root: &Path, folder: &str) -> Vec<File> {
    let source = format!("{folder}/src");
    let mut files: Vec<File> = rust_files(root, &source)
        .into_iter()
        .map(|path| parse(root, &source, path))
        .collect();
    let mut of_tests = BTreeSet::new();
    for file in &files {
        collect_test_modules(&file.module, &file.syntax.items, &mut of_tests);
    }
    files.retain(|file| {
        let mut ancestors = (1..=file.module.len()).map(|depth| &file.module[..depth]);
        !ancestors.any(|ancestor| of_tests.contains(ancestor))
    });
    files
}

/// The paths of all `.rs` files under `folder`, sorted, without those of folders named `target`.
pub(super) fn rust_files(root: &Path, folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    for name in entries(&root.join(folder)) {
        let path = format!("{folder}/{name}");
        if root.join(&path).is_dir() {
            if name != "target" {
                found.extend(rust_files(root, &path));
            }
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
    found
}

/// The names in a folder, sorted; none where there is no such folder.
pub(super) fn entries(folder: &Path) -> Vec<String> {
    let Ok(entries) = folder.read_dir() else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The text of a file of the repository, and what `syn` makes of it.
pub(super) fn read(root: &Path, path: &str) -> (String, syn::File) {
    let text =
        std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let syntax = syn::parse_file(&text)
        .unwrap_or_else(|error| panic!("{path}:{}: {error}", error.span().start().line));
    (text, syntax)
}

/// Whether code with these attributes is compiled for tests only.
pub(super) fn for_tests_only(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => needs_test(list.tokens.clone()),
        _ => false,
    })
}

/// The attributes of an item that can be left out by `#[cfg(test)]`.
pub(super) fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn parse(root: &Path, source: &str, path: String) -> File {
    let inside = path[source.len() + 1..].trim_end_matches(".rs");
    let module = match inside {
        "lib" => Vec::new(),
        _ => inside.split('/').map(str::to_owned).collect(),
    };
    let (_, syntax) = read(root, &path);
    File {
        path,
        module,
        syntax,
    }
}

fn collect_test_modules(module: &[String], items: &[Item], found: &mut BTreeSet<ModulePath>) {
    for item in items {
        let Item::Mod(ItemMod {
            attrs,
            ident,
            content,
            ..
        }) = item
        else {
            continue;
        };
        let inner = [module, &[ident.to_string()]].concat();
        match content {
            _ if for_tests_only(attrs) => _ = found.insert(inner),
            Some((_, items)) => collect_test_modules(&inner, items, found),
            None => {}
        }
    }
}

/// Whether a `cfg` predicate holds in tests only: `test`, `all(.., test)`, `any(test, doctest)`.
fn needs_test(predicate: TokenStream) -> bool {
    let tokens: Vec<TokenTree> = predicate.into_iter().collect();
    match tokens.as_slice() {
        [TokenTree::Ident(name)] => name == "test" || name == "doctest",
        [TokenTree::Ident(name), TokenTree::Group(group)] => {
            let parts = split_at_commas(group.stream());
            match name.to_string().as_str() {
                "all" => parts.into_iter().any(needs_test),
                "any" => parts.into_iter().all(needs_test),
                _ => false,
            }
        }
        _ => false,
    }
}

fn split_at_commas(tokens: TokenStream) -> Vec<TokenStream> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    tokens
        .split(|token| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ','))
        .filter(|part| !part.is_empty())
        .map(|part| part.iter().cloned().collect())
        .collect()
}
