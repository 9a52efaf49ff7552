//! `routes.mirror`.

use serde_json::Value as Json;

use super::super::description::Words;
use super::super::item::{Form, Item};
use super::super::model::{Mirror, Target, UpstreamId};
use super::super::sections::Names;
use super::super::table::{Default, Table};
use super::target::unique_index;

/// The largest body that a copy may be allowed.
const LARGEST: u64 = 64 << 20;

static WORDS: Words = Words {
    about: "Copies of requests, for an upstream whose answers nobody gets: one table, or a list of them. A copy is what \
            goes to the upstream of the route after plugins and `rewrite`, sent in the background: it never delays or \
            fails the request. docs/mirroring.md says which requests are copied.",
    keys: &[
        ("upstream", "Where copies go."),
        (
            "ratio",
            "The share of requests that are copied: each with this probability, whoever asks.",
        ),
        (
            "max_body",
            "The largest body of a copy. A request with a larger one is not copied. `\"0B\"`: only requests without a \
             body are.",
        ),
        (
            "max_concurrent",
            "Copies that may be under way at once, over all workers, with those whose body still comes in. A request \
             beyond it is not copied.",
        ),
    ],
    example: "",
};

/// What a mirror looks like, or several.
const EXPECTED: &str = "a mirror such as { upstream = \"shadow\", ratio = 0.1 }, or a list of them";

/// The mirrors of a route that leads there.
pub(super) fn mirrors(
    table: &mut Table<'_>,
    names: &Names,
    target: Option<&Target>,
) -> Vec<Mirror> {
    let Some(item) = table.item_unshown("mirror") else {
        return Vec::new();
    };
    if let Some(Target::Respond(_) | Target::Redirect(_)) = target {
        item.fault("copies nothing: the route goes to no upstream");
    }
    let read = |item: &Item<'_>| item.table(EXPECTED, |table| mirror(table, names, target));
    let (mirrors, shown) = item.by_form(|form| match form {
        Form::List => several(&item, names, read),
        _ => match read(&item) {
            Some((mirror, shown)) => (mirror.into_iter().collect(), shown),
            None => (Vec::new(), Json::Null),
        },
    });
    table.show("mirror", shown);
    mirrors
}

fn several<'a>(
    list: &Item<'a>,
    names: &Names,
    read: impl Fn(&Item<'a>) -> Option<(Option<Mirror>, Json)>,
) -> (Vec<Mirror>, Json) {
    let items = list.items(EXPECTED).unwrap_or_default();
    if items.is_empty() && !list.is_probe() {
        list.fault("is empty, so that nothing is copied; leave it out");
    }
    let (mut mirrors, mut shown): (Vec<Mirror>, _) = (Vec::new(), Vec::new());
    for item in items {
        let (mirror, json) = read(&item).unwrap_or((None, Json::Null));
        shown.push(json);
        let Some(mirror) = mirror else { continue };
        if mirrors.iter().any(|it| it.upstream == mirror.upstream) {
            let name = &names.upstreams[mirror.upstream.0];
            item.fault(format!(
                "copies to `{name}`, as another mirror of the route does; write one of them"
            ));
        }
        mirrors.push(mirror);
    }
    (mirrors, Json::Array(shown))
}

fn mirror(table: &mut Table<'_>, names: &Names, target: Option<&Target>) -> Option<Mirror> {
    table.words(&WORDS);
    let upstream = table.required("upstream", "upstream = \"shadow\"", |item| {
        let name = item.reference("an upstream", &names.upstreams)?;
        let id = unique_index(names, &name).map(UpstreamId)?;
        if leads_to(target, id) {
            item.warn(format!(
                "{} is where the requests themselves go: it gets those that are copied twice; name another upstream",
                item.quoted()
            ));
        }
        Some(id)
    });
    let ratio = table.or("ratio", Default::Float(1.0), |item| item.share());
    let max_body = table.or("max_body", Default::Text("64KiB"), |item| {
        let size = item.size(0..=LARGEST, "a size up to \"64MiB\"")?;
        usize::try_from(size).ok()
    });
    let max_concurrent = table.or("max_concurrent", Default::Integer(100), |item| {
        item.count(1)
    });
    Some(Mirror {
        upstream: upstream?,
        ratio,
        max_body,
        max_concurrent,
    })
}

/// Whether requests of the route go there by themselves.
fn leads_to(target: Option<&Target>, upstream: UpstreamId) -> bool {
    match target {
        Some(Target::Upstream(id)) => *id == upstream,
        Some(Target::Split(split)) => split.arms.iter().any(|arm| arm.upstream == upstream),
        _ => false,
    }
}
