//! What a chain is made of, as it is written.

use std::sync::Arc;

use serde_json::Value as Json;

use super::when;
use crate::config::description::Words;
use crate::config::item::{Form, Item};
use crate::config::model::When;
use crate::config::plugins;
use crate::config::scope::Location;
use crate::config::sections::Names;
use crate::config::table::Table;
use crate::config::written::Written;

/// A plugin in a chain, before the default configuration is known to be sound.
#[derive(Debug, Clone)]
pub(in crate::config) struct Step {
    pub(super) plugin: Arc<str>,
    pub(super) config: Option<Json>,
    pub(super) when: Option<Arc<When>>,
    /// Where `when` asks for attributes.
    pub(super) attributes: Option<Asked>,
    pub(super) place: Written,
}

/// Where something is asked for.
#[derive(Debug, Clone)]
pub(in crate::config) struct Asked {
    pub(super) at: Location,
    pub(super) key: String,
}

/// A piece of a chain as it is written: a plugin, or a chain with a name.
#[derive(Debug)]
pub(in crate::config) enum Piece {
    Plugin(Box<Step>),
    Chain(Arc<str>, Asked),
}

static STEP: Words = Words {
    about: "A plugin in a chain, by `name`; or the plugins of a chain of `[chains]`, by `chain` alone.",
    keys: &[
        ("name", "A name of `[plugins]`."),
        (
            "config",
            "What the plugin is configured with here. Unless given, `config` of the plugin.",
        ),
        (
            "when",
            "Which requests the plugin has its turn with. Unless given, all.",
        ),
        ("chain", "A name of `[chains]`."),
    ],
    example: "",
};

/// The pieces of a list, and how it is shown.
pub(super) fn pieces(item: &Item<'_>, names: &Names) -> (Vec<Piece>, Json) {
    let expected = "a list such as [\"auth\", { name = \"transform\", config = { .. } }]";
    let items = item.items(expected).unwrap_or_default();
    let (mut pieces, mut shown) = (Vec::new(), Vec::new());
    for item in items {
        let (piece, json) = piece(&item, names);
        pieces.extend(piece);
        shown.push(json);
    }
    (pieces, Json::Array(shown))
}

fn piece(item: &Item<'_>, names: &Names) -> (Option<Piece>, Json) {
    item.by_form(|form| match form {
        Form::Text => {
            let step = plugin(item, names).map(|plugin| Step {
                plugin,
                config: None,
                when: None,
                attributes: None,
                place: Written::bare(item),
            });
            let piece = step.map(|step| Piece::Plugin(Box::new(step)));
            (piece, item.node.masked())
        }
        _ => {
            let expected = "the name of a plugin, or { name = \"..\", config = { .. } }";
            let read = item.table(expected, |table| piece_table(item, table, names));
            read.unwrap_or((None, Json::Null))
        }
    })
}

fn plugin(item: &Item<'_>, names: &Names) -> Option<Arc<str>> {
    let text = item.text_as("the name of a plugin")?;
    let is_chain = names.chains.iter().any(|chain| **chain == *text);
    if is_chain && !names.plugins.iter().any(|plugin| **plugin == *text) {
        item.fault(format!(
            "no plugin is called {}; it is a chain: write {{ chain = \"..\" }}",
            item.quoted()
        ));
        return None;
    }
    item.reference("a plugin", &names.plugins)
}

fn piece_table(item: &Item<'_>, table: &mut Table<'_>, names: &Names) -> Option<Piece> {
    table.words(&STEP);
    let chain = table.item("chain");
    let name = table.item("name");
    let plugin = name.as_ref().and_then(|item| plugin(item, names));
    let mut place = Written::bare(item);
    let config = table.item_unshown("config").and_then(|item| {
        let (config, written, shown) = plugins::config(&item, names);
        place = written;
        table.show("config", shown);
        config
    });
    let when = table.item_unshown("when");
    let asked = when.as_ref().map(|item| Asked {
        at: item.node.at,
        key: item.key.clone(),
    });
    let when = when.and_then(|item| {
        let (when, shown) = when::when(&item);
        table.show("when", shown);
        when
    });
    if let Some(chain) = chain {
        let known = chain.reference("a chain", &names.chains);
        if !chain.is_probe() {
            for key in ["name", "config", "when"]
                .into_iter()
                .filter(|key| table.has(key))
            {
                table.fault(key, "is of one plugin, and `chain` stands for several; write it where `[chains]` names the plugin");
            }
        }
        let asked = Asked {
            at: chain.node.at,
            key: chain.key.clone(),
        };
        return known.map(|chain| Piece::Chain(chain, asked));
    }
    if name.is_none() {
        table.fault_here(
            "names nothing; add name = \"auth\", or chain = \"..\" for one of `[chains]`",
        );
    }
    let asks = when.as_ref().is_some_and(When::asks_for_attributes);
    Some(Piece::Plugin(Box::new(Step {
        plugin: plugin?,
        config,
        when: when.map(Arc::new),
        attributes: asked.filter(|_| asks),
        place,
    })))
}
