//! `upstreams.NAME.outlier`.

use super::super::description::Words;
use super::super::model::Outlier;
use super::super::table::{Default, Table};

static WORDS: Words = Words {
    about: "When an endpoint that fails its requests gets none for a while. The last that takes requests is never ejected.",
    keys: &[
        (
            "consecutive_failures",
            "So many requests in a row that it did not answer, not whole, or with 5xx.",
        ),
        (
            "ejection",
            "How long the first ejection lasts. The second in a row lasts twice as long, and so on up to ten times.",
        ),
        (
            "max_ejected",
            "The share of the endpoints that may be ejected at once; above `0.0`, one may be at least.",
        ),
    ],
    example: "",
};

/// When an endpoint is ejected.
pub(super) fn outlier(table: &mut Table<'_>) -> Outlier {
    table.words(&WORDS);
    Outlier {
        consecutive_failures: table.or("consecutive_failures", Default::Integer(5), |item| {
            u32::try_from(item.integer(1..=1_000_000)?).ok()
        }),
        ejection: table.or("ejection", Default::Text("30s"), |item| item.duration()),
        max_ejected: table.or("max_ejected", Default::Float(0.5), |item| {
            item.share().map(millionths)
        }),
    }
}

/// A share as so many of a million; the smallest above 0 is one.
fn millionths(share: f64) -> u32 {
    (share * 1e6).ceil() as u32
}
