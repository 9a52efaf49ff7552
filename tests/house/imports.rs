//! Collects what a file imports: its `use` items, and the paths in its expressions, types, attributes and macros.

use proc_macro2::{Spacing, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{
    Attribute, ImplItem, Item, ItemMod, ItemUse, Local, Macro, Meta, Path, TraitItem, UseTree,
    Visibility,
};

use super::source::{self, File, ModulePath};

/// A path that a file names.
pub(super) struct Import {
    /// As it is written, without a glob's `*` and without `self` at its end.
    pub(super) path: Vec<String>,
    /// The module where it is written: the file's own, or one inside it.
    pub(super) scope: ModulePath,
    pub(super) line: usize,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Use,
    /// A `use` that others can import in turn: `pub use`, `pub(crate) use`.
    ReExport,
    /// A path outside a `use`.
    Inline,
}

/// One name that a `use` brings into its module.
pub(super) struct Leaf {
    pub(super) path: Vec<String>,
    /// `None` for a glob.
    pub(super) name: Option<String>,
    line: usize,
}

/// All that a file names, without code for tests.
pub(super) fn of(file: &File) -> Vec<Import> {
    let mut reader = Reader {
        scope: file.module.clone(),
        found: Vec::new(),
    };
    reader.visit_file(&file.syntax);
    reader.found
}

/// The names that a `use` brings in; none for `use ::krate`, which leaves the crate.
pub(super) fn leaves(item: &ItemUse) -> Vec<Leaf> {
    let mut found = Vec::new();
    if item.leading_colon.is_none() {
        flatten(&item.tree, &[], &mut found);
    }
    found
}

/// Whether a `use` can be imported from elsewhere.
pub(super) fn is_re_export(item: &ItemUse) -> bool {
    !matches!(item.vis, Visibility::Inherited)
}

fn flatten(tree: &UseTree, before: &[String], found: &mut Vec<Leaf>) {
    let with = |name: &syn::Ident| match name.to_string().as_str() {
        "self" if !before.is_empty() => before.to_vec(),
        name => [before, &[name.to_owned()]].concat(),
    };
    let (path, name, line) = match tree {
        UseTree::Path(tree) => return flatten(&tree.tree, &with(&tree.ident), found),
        UseTree::Group(group) => {
            return group
                .items
                .iter()
                .for_each(|tree| flatten(tree, before, found));
        }
        UseTree::Name(leaf) => {
            let path = with(&leaf.ident);
            let name = path.last().cloned();
            (path, name, leaf.ident.span())
        }
        UseTree::Rename(leaf) => {
            let name = Some(leaf.rename.to_string());
            (with(&leaf.ident), name, leaf.ident.span())
        }
        UseTree::Glob(glob) => (before.to_vec(), None, glob.star_token.spans[0]),
    };
    let line = line.start().line;
    found.push(Leaf { path, name, line });
}

struct Reader {
    scope: ModulePath,
    found: Vec<Import>,
}

impl Reader {
    fn push(&mut self, path: Vec<String>, line: usize, kind: Kind) {
        let scope = self.scope.clone();
        self.found.push(Import {
            path,
            scope,
            line,
            kind,
        });
    }

    /// Paths among the tokens of a macro, whatever its grammar is: names joined by `::`.
    fn read_tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut rest = tokens.as_slice();
        while let [token, after @ ..] = rest {
            // `::name` leaves the crate: such a path is passed over.
            let leaves = next_segment(rest).is_some();
            let (names, after) = segments(if leaves { rest } else { after });
            rest = after;
            match token {
                TokenTree::Group(group) => self.read_tokens(group.stream()),
                TokenTree::Ident(first) if !names.is_empty() => {
                    let path = [vec![first.to_string()], names].concat();
                    self.push(path, first.span().start().line, Kind::Inline);
                }
                _ => {}
            }
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        if !source::for_tests_only(source::attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let attributes = match item {
            ImplItem::Const(item) => item.attrs.as_slice(),
            ImplItem::Fn(item) => &item.attrs,
            ImplItem::Type(item) => &item.attrs,
            ImplItem::Macro(item) => &item.attrs,
            _ => &[],
        };
        if !source::for_tests_only(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_trait_item(&mut self, item: &'ast TraitItem) {
        let attributes = match item {
            TraitItem::Const(item) => item.attrs.as_slice(),
            TraitItem::Fn(item) => &item.attrs,
            TraitItem::Type(item) => &item.attrs,
            TraitItem::Macro(item) => &item.attrs,
            _ => &[],
        };
        if !source::for_tests_only(attributes) {
            visit::visit_trait_item(self, item);
        }
    }

    fn visit_local(&mut self, local: &'ast Local) {
        if !source::for_tests_only(&local.attrs) {
            visit::visit_local(self, local);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        self.scope.push(module.ident.to_string());
        visit::visit_item_mod(self, module);
        self.scope.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let kind = match is_re_export(item) {
            true => Kind::ReExport,
            false => Kind::Use,
        };
        for leaf in leaves(item) {
            self.push(leaf.path, leaf.line, kind);
        }
    }

    /// `pub(in crate::x)` says who may see an item; it imports nothing.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_path(&mut self, path: &'ast Path) {
        if path.leading_colon.is_none() {
            let names = path.segments.iter().map(|part| part.ident.to_string());
            let line = path.segments[0].ident.span().start().line;
            self.push(names.collect(), line, Kind::Inline);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.visit_path(&call.path);
        self.read_tokens(call.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::List(list) = &attribute.meta {
            self.read_tokens(list.tokens.clone());
        }
        visit::visit_attribute(self, attribute);
    }
}

/// All names at the start of `tokens` that have a `::` before them, and what follows.
fn segments(mut tokens: &[TokenTree]) -> (Vec<String>, &[TokenTree]) {
    let mut names = Vec::new();
    while let Some((name, after)) = next_segment(tokens) {
        names.push(name);
        tokens = after;
    }
    (names, tokens)
}

/// The name after a `::` at the start of `tokens`, and what follows it.
fn next_segment(tokens: &[TokenTree]) -> Option<(String, &[TokenTree])> {
    match tokens {
        [
            TokenTree::Punct(first),
            TokenTree::Punct(second),
            TokenTree::Ident(name),
            rest @ ..,
        ] if first.as_char() == ':'
            && first.spacing() == Spacing::Joint
            && second.as_char() == ':' =>
        {
            Some((name.to_string(), rest))
        }
        _ => None,
    }
}
