//! How the house is built: what may import what, and how large a file and a function may be.
//!
//! The rules are data of `ARCHITECTURE.md`: its tables name the floors, the exceptions and the circles. The checks
//! take the root of a tree, so that `proofs` can show on made-up trees that each of them fails when it must.

mod circles;
mod floors;
mod imports;
mod links;
mod names;
mod proofs;
mod sizes;
mod source;
mod tables;
mod waits;

use std::path::{Path, PathBuf};

#[test]
fn imports_point_down() {
    expect_none(&floors::check(&repository()));
}

#[test]
fn no_circle_of_files_but_those_with_a_reason() {
    expect_none(&circles::check(&repository()));
}

#[test]
fn no_file_over_450_lines_and_no_function_over_70() {
    expect_none(&sizes::check(&repository(), 450, 70));
}

#[test]
fn few_files_open_what_others_chose_or_write_what_others_read() {
    expect_none(&waits::check(&repository()));
}

#[test]
fn every_link_of_a_page_leads_to_a_file_and_to_a_heading_that_are_there() {
    expect_none(&links::check(&repository()));
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn expect_none(findings: &[String]) {
    let count = findings.len();
    assert!(count == 0, "{count} found:\n{}", findings.join("\n"));
}
