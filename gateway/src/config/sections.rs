//! The files put together: each section with what all files say of it.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Map, Value as Json};

use super::description::Words;
use super::fill::{self, Secrets};
use super::item::Item;
use super::origins::{Origin, Origins};
use super::parse::Document;
use super::read;
use super::scope::{Location, Scope};
use super::table::{DEFAULTS, Table};
use super::tree::{self, Value};
use super::written::Written;
use crate::thread::priority::gently;

/// Every name that is declared, whether or not the thing itself is sound: a faulty upstream is no unknown one.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) listeners: Vec<Arc<str>>,
    /// The listeners whose names came from outside.
    pub(super) hidden_listeners: Vec<Arc<str>>,
    pub(super) plugins: Vec<Arc<str>>,
    pub(super) upstreams: Vec<Arc<str>>,
    pub(super) chains: Vec<Arc<str>>,
    pub(super) secrets: Secrets,
}

/// The sections of all files.
#[derive(Debug)]
pub(super) struct Sections<'a> {
    scope: &'a Scope,
    start: Option<Location>,
    given: HashMap<&'static str, Vec<Item<'a>>>,
    shown: Map<String, Json>,
}

const KEYS: [&str; 12] = [
    "server",
    "admin",
    "state",
    "secrets",
    "listeners",
    "plugins",
    "upstreams",
    "chains",
    "chain",
    "defaults",
    "routes",
    "errors",
];
/// Sections that one file alone may have.
const SINGLE: [&str; 6] = ["server", "admin", "state", "chain", "defaults", "errors"];

static WORDS: Words = Words {
    about: "What stands above the first `[table]` is a key of the whole file. Every section may be in any file that is \
            included, except those that one file alone may have: `server`, `admin`, `state`, `chain`, `defaults` and `errors`.",
    keys: &[
        (
            "include",
            "Other files that belong to the configuration, relative to this one. `*` and `?` match within a name. \
             A pattern that matches no file is an error.",
        ),
        ("server", "The process."),
        (
            "admin",
            "The admin listener. There is none unless this is given.",
        ),
        ("state", "Where plugins keep what they share."),
        (
            "secrets",
            "Secrets by name, a string each: for plugins with a grant, and for `${secrets.NAME}` in the `config` of \
             plugins. No message and no dump shows one.",
        ),
        ("listeners", "Where clients connect; at least one."),
        ("plugins", "Plugins by name."),
        ("upstreams", "Upstreams by name."),
        (
            "chains",
            "Chains by name, a list each like `chain`: `{ chain = \"NAME\" }` in a list of plugins stands for all of one, \
             in other chains too.",
        ),
        (
            "chain",
            "The plugins that every route starts with, in their order, unless it skips them.",
        ),
        (
            "defaults",
            "What stands for keys that a route does not give.",
        ),
        (
            "routes",
            "Routes. The most specific match wins, whatever the order in the files.",
        ),
        (
            "errors",
            "What stands for what the gateway answers where it refuses or fails, by status (`404`) or class (`5xx`); \
             also where no route matches.",
        ),
    ],
    example: r#"
include = ["routes/*.toml"]
chain = ["limit", { name = "transform", config = { response = { set_headers = { x-served-by = "gateway" } } } }]
errors = { 404 = '{"error":"there is no {path}"}' }

[chains]
secure = ["auth", { chain = "fair" }]
fair = [
    { name = "limit", when = { methods = ["POST"], headers = { x-trial = "1" }, cookies = { beta = "1" }, client = "10.0.0.0/8", after = "2026-01-01T00:00:00Z", before = "2027-01-01T00:00:00Z", version = { header = "x-version", at_least = "1" }, query = { debug = { present = true } }, attributes = { "auth.claims.tier" = "gold" } } },
    { name = "transform", when = { not = { methods = ["GET"], headers = { x-internal = "1" }, cookies = { fast = "1" }, client = "10.1.0.0/16", after = "2026-01-01T00:00:00Z", before = "2026-02-01T00:00:00Z", version = { header = "x-version", equals = "0" }, query = { fast = "1" }, attributes = { "auth.subject" = "monitor" } } } },
]

[secrets]
jwt_key = "${JWT_KEY:-not for production}"
idp_client = { file = "secret.txt" }
"#,
};

impl<'a> Sections<'a> {
    /// Sorts what the documents say into sections.
    pub(super) fn gather(scope: &'a Scope, documents: &'a [Document]) -> Self {
        let mut given: HashMap<&'static str, Vec<Item<'a>>> = HashMap::new();
        for document in documents {
            let mut table = Table::new(scope, String::new(), document.start, &document.entries);
            table.words(&WORDS);
            table.item_unshown("include");
            for key in KEYS {
                let Some(item) = table.item_unshown(key) else {
                    continue;
                };
                let items = given.entry(key).or_default();
                match items.first() {
                    Some(first) if SINGLE.contains(&key) => {
                        let first = scope.show(first.node.at);
                        item.fault(format!(
                            "is given already, in {first}; only one file may have it"
                        ));
                    }
                    _ => items.push(item),
                }
            }
            table.finish();
        }
        Self {
            scope,
            start: documents.first().map(|document| document.start),
            given,
            shown: Map::new(),
        }
    }

    /// All names.
    pub(super) fn names(&self) -> Names {
        let (mut listeners, mut hidden_listeners) = (Vec::new(), Vec::new());
        for name in self.items("listeners").iter().filter_map(Item::named) {
            let Value::Text(text) = &name.node.value else {
                continue;
            };
            listeners.push(Arc::from(text.as_str()));
            if name.is_outside() {
                hidden_listeners.push(Arc::from(text.as_str()));
            }
        }
        let tabled = |key: &str| -> Vec<Arc<str>> {
            let mut names = Vec::new();
            for item in self.given(key) {
                if let Value::Table(fields) = &item.node.value {
                    names.extend(fields.iter().map(|field| Arc::from(field.key.as_str())));
                }
            }
            names
        };
        Names {
            listeners,
            hidden_listeners,
            plugins: tabled("plugins"),
            upstreams: tabled("upstreams"),
            chains: tabled("chains"),
            secrets: Secrets {
                names: tabled("secrets"),
                values: BTreeMap::new(),
            },
        }
    }

    /// A table that is read as an empty one if no file has it.
    pub(super) fn single<T>(&mut self, key: &'static str, read: impl Fn(&mut Table<'a>) -> T) -> T {
        let item = self.given(key).first().cloned();
        let read_item = item.and_then(|item| item.table(&format!("the table [{key}]"), &read));
        let (value, shown) = read_item.unwrap_or_else(|| {
            let at = self.start.unwrap_or(Location { file: 0, line: 0 });
            let mut table = Table::new(self.scope, key.to_owned(), at, &[]);
            let value = read(&mut table);
            (value, table.finish())
        });
        self.shown.insert(key.to_owned(), shown);
        value
    }

    /// A table that need not be.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Table<'a>) -> T,
    ) -> Option<T> {
        let item = self.given(key).first().cloned()?;
        let (value, shown) = item.table(&format!("the table [{key}]"), read)?;
        self.shown.insert(key.to_owned(), shown);
        Some(value)
    }

    /// The items of a list over all files. `read` gives the value and how it is shown; an item that could not
    /// be read is `None`, so that indexes hold.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&Item<'a>) -> Option<(Option<T>, Json)>,
    ) -> Vec<Option<T>> {
        for item in self.given(key) {
            // One pair of brackets is the commonest slip.
            match item.node.value {
                Value::Table(_) => item.fault(format!(
                    "expected [[{key}]] tables, found {}; write [[{key}]] in place of [{key}]",
                    item.node.describe()
                )),
                _ => {
                    item.is_list(&format!("[[{key}]] tables"));
                }
            }
        }
        let items = self.items(key);
        let mut values = Vec::with_capacity(items.len());
        let mut shown = Vec::with_capacity(items.len());
        for item in gently(items) {
            let (value, json) = read(&item).unwrap_or((None, Json::Null));
            values.push(value);
            shown.push(json);
        }
        self.shown.insert(key.to_owned(), Json::Array(shown));
        values
    }

    /// The items of a list over all files.
    pub(super) fn items(&self, key: &str) -> Vec<Item<'a>> {
        let mut items = Vec::new();
        for section in self.given(key) {
            items.extend(section.elements());
        }
        items
    }

    /// The named tables of a section over all files; a name may be there once.
    pub(super) fn named<K, T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&Item<'a>, K) -> Option<(Option<T>, Json)>,
    ) -> IndexMap<K, T>
    where
        K: From<String> + Hash + Eq + Clone,
    {
        let mut values = IndexMap::new();
        let mut places: HashMap<&str, Location> = HashMap::new();
        let mut shown = Map::new();
        for section in self.given(key).to_vec() {
            let expected = match key {
                "plugins" => "the tables [plugins.NAME] (the chain that every route starts with is `chain = [..]`, above the first [table])".to_owned(),
                "secrets" | "chains" => format!("the table [{key}]"),
                _ => format!("the tables [{key}.NAME]"),
            };
            for (entry, item) in gently(section.fields(&expected).unwrap_or_default()) {
                if let Some(first) = places.get(entry.key.as_str()) {
                    let first = self.scope.show(*first);
                    let message = format!("is given already, in {first}");
                    self.scope.fault(entry.at, &item.key, message);
                    continue;
                }
                places.insert(&entry.key, entry.at);
                if let Some(reason) = read::bad_name(&entry.key) {
                    self.scope
                        .fault(entry.at, &item.key, format!("the key {reason}"));
                }
                let name = K::from(entry.key.clone());
                if let Some((value, json)) = read(&item, name.clone()) {
                    shown.insert(entry.key.clone(), json);
                    values.extend(value.map(|value| (name, value)));
                }
            }
        }
        self.shown.insert(key.to_owned(), Json::Object(shown));
        values
    }

    /// Where each plugin stands, and the keys of its `config`.
    pub(super) fn plugin_places(&self, secrets: &Secrets) -> BTreeMap<Arc<str>, Written> {
        let fields = |item: &Item<'a>| match item.node.value {
            Value::Table(_) => item.fields("").unwrap_or_default(),
            _ => Vec::new(),
        };
        let mut places = BTreeMap::new();
        for (entry, item) in self.given("plugins").iter().flat_map(fields) {
            let mut place = Written::bare(&item);
            if let Some((_, config)) = fields(&item)
                .into_iter()
                .find(|(entry, _)| entry.key == "config")
            {
                // Its faults are those of the plugin's own reader.
                let filled = self.scope.quietly(|| fill::secrets(&config, secrets));
                let config = Item {
                    node: &filled.node,
                    ..config
                };
                place = place.with_table_of(&Written::table(&config, filled.secrets));
            }
            places.insert(Arc::from(entry.key.as_str()), place);
        }
        places
    }

    /// What each file says of a section.
    pub(super) fn given(&self, key: &str) -> &[Item<'a>] {
        self.given.get(key).map_or(&[], Vec::as_slice)
    }

    /// Sets how a section is shown.
    pub(super) fn show(&mut self, key: &str, shown: Json) {
        self.shown.insert(key.to_owned(), shown);
    }

    /// Reports a fault of the whole configuration, at the start of the first file.
    pub(super) fn fault(&self, key: &str, message: &str) {
        if let Some(start) = self.start {
            self.scope.fault(start, key, message);
        }
    }

    /// The origin of a route; of what stands in `[defaults]` for keys that it does not give, too.
    fn origin_of_route(&self, route: &Item<'a>, mut shown: Option<&mut Json>) -> Origin {
        let entries = |item: &Item<'a>| match &item.node.value {
            Value::Table(entries) => entries.as_slice(),
            _ => &[],
        };
        let mut origin = Origin::of(route, shown.as_deref_mut());
        let own = entries(route);
        for entry in self.given(DEFAULTS).iter().flat_map(entries) {
            if own.iter().any(|own| own.key == entry.key) {
                continue;
            }
            let item = Item {
                scope: self.scope,
                node: &entry.node,
                key: tree::join(DEFAULTS, &entry.key),
            };
            let shown = shown.as_mut().and_then(|shown| shown.get_mut(&entry.key));
            origin.add_field(&entry.key, Origin::of(&item, shown));
        }
        origin
    }

    /// All of it, as JSON, and where it comes from.
    pub(super) fn shown(&mut self) -> (Json, Origins) {
        let mut shown = std::mem::take(&mut self.shown);
        let mut origins = Origins::new(self.scope);
        for key in KEYS {
            let mut items = Vec::new();
            let mut shown = shown.get_mut(key);
            for item in self.given(key) {
                let Value::List(_) = &item.node.value else {
                    origins.add(key, Origin::of(item, shown.as_deref_mut()));
                    continue;
                };
                // The list goes on in the next file.
                for item in gently(item.elements()) {
                    let shown = shown.as_mut().and_then(|shown| shown.get_mut(items.len()));
                    items.push(match key {
                        "routes" => self.origin_of_route(&item, shown),
                        _ => Origin::of(&item, shown),
                    });
                }
            }
            if !items.is_empty() {
                origins.add_items(key, items);
            }
        }
        (Json::Object(shown), origins)
    }
}
