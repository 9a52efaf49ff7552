//! How long files and functions are.

use std::collections::BTreeSet;
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Block, ImplItemFn, ItemFn, TraitItemFn};

use super::source;

/// Where the sources of the repository are.
const FOLDERS: [&str; 5] = ["gateway", "plugin-sdk", "plugins", "tests", "benches"];

/// The files and functions with more lines than these.
pub(super) fn check(root: &Path, of_a_file: usize, of_a_function: usize) -> Vec<String> {
    let paths = FOLDERS
        .iter()
        .flat_map(|folder| source::rust_files(root, folder));
    let mut findings = Vec::new();
    for path in paths {
        let (text, syntax) = source::read(root, &path);
        let lines = text.lines().count();
        if lines > of_a_file {
            findings.push(format!("{path}: {lines} lines"));
        }
        let mut measure = Measure {
            text: &text,
            functions: Vec::new(),
        };
        measure.visit_file(&syntax);
        for (name, line, lines) in measure.functions {
            if lines > of_a_function {
                findings.push(format!("{path}:{line}: `{name}` has {lines} lines"));
            }
        }
    }
    findings
}

/// Measures every function, those inside others too.
struct Measure<'a> {
    text: &'a str,
    /// Name, line and count of lines.
    functions: Vec<(String, usize, usize)>,
}

impl Measure<'_> {
    fn push(&mut self, name: &syn::Ident, body: &Block) {
        let braces = body.brace_token.span;
        let inside = braces.open().byte_range().end..braces.close().byte_range().start;
        let lines = lines_of_code(&self.text[inside]);
        let line = name.span().start().line;
        self.functions.push((name.to_string(), line, lines));
    }
}

impl<'ast> Visit<'ast> for Measure<'_> {
    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.push(&function.sig.ident, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        self.push(&function.sig.ident, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast TraitItemFn) {
        if let Some(body) = &function.default {
            self.push(&function.sig.ident, body);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

/// Counts as clippy's `too_many_lines` does: without blank lines and lines of comment only.
fn lines_of_code(body: &str) -> usize {
    let tokens = body.parse().expect("the file was parsed before");
    let mut with_tokens = BTreeSet::new();
    collect_lines(tokens, &mut with_tokens);
    let lines = (1..).zip(body.lines().map(str::trim));
    lines
        .filter(|(number, line)| with_tokens.contains(number) && !line.is_empty())
        // The tokens of a doc comment are the attribute that it stands for.
        .filter(|(_, line)| !line.starts_with("//"))
        .count()
}

/// Notes the lines that have tokens; a string of several lines is a token of each.
fn collect_lines(tokens: TokenStream, found: &mut BTreeSet<usize>) {
    for token in tokens {
        let span = token.span();
        match token {
            TokenTree::Group(group) => {
                found.insert(group.span_open().start().line);
                found.insert(group.span_close().end().line);
                collect_lines(group.stream(), found);
            }
            _ => found.extend(span.start().line..=span.end().line),
        }
    }
}
