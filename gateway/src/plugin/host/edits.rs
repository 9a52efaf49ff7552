//! `edits`: many edits in one call. Bound by hand and not by `bindgen!`, which would copy every name and value before
//! they are looked at: here they are read where they lie in the guest's memory.

use std::str;

use wasmtime::component::{ComponentType, Linker, Lower, WasmList};
use wasmtime::{AsContext, StoreContextMut};

use super::Guest;
use super::bindings::gateway::plugin::exchange::HeaderError;
use super::exchange::{FieldEdit, Message};
use crate::plugin::grants::VERSION;

/// `edit-error`
#[derive(ComponentType, Lower)]
#[component(record)]
struct EditError {
    at: u32,
    why: HeaderError,
}

/// Gives guests the interface.
pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker
        .instance(&format!("gateway:plugin/edits@{VERSION}"))?
        .func_wrap(
            "apply",
            |mut store, (edits, text): (WasmList<u32>, WasmList<u8>)| {
                Ok((apply(&mut store, &edits, &text)?,))
            },
        )
}

/// Makes edits up to the first that is not made. Each is charged like a call of its own.
fn apply(
    store: &mut StoreContextMut<'_, Guest>,
    edits: &WasmList<u32>,
    text: &WasmList<u8>,
) -> wasmtime::Result<Result<(), EditError>> {
    let mut from = 0;
    for at in 0..edits.len().div_ceil(3) {
        let guest = store.as_context();
        let numbers = edits.as_le_slice(guest).get(3 * at..3 * at + 3);
        let Some(&[kind, name, value]) = numbers else {
            return Err(wasmtime::Error::msg("an edit is three numbers"));
        };
        let [kind, name, value] = [kind, name, value].map(u32::from_le);
        let named = from + name as usize;
        let end = named + value as usize;
        let made = make(store, kind, text, (from, named, end))?;
        if let Err(why) = made {
            let at = u32::try_from(at).unwrap_or(u32::MAX);
            return Ok(Err(EditError { at, why }));
        }
        from = end;
    }
    Ok(Ok(()))
}

/// Makes an edit of the name and value that stand in the text from the first place to the second, and from there to the
/// third.
fn make(
    store: &mut StoreContextMut<'_, Guest>,
    kind: u32,
    text: &WasmList<u8>,
    (from, named, end): (usize, usize, usize),
) -> wasmtime::Result<Result<(), HeaderError>> {
    store.data_mut().budget.host_call()?;
    let text = text.as_le_slice(store.as_context());
    let (Some(name), Some(value)) = (text.get(from..named), text.get(named..end)) else {
        return Err(wasmtime::Error::msg("the text is shorter than the edits"));
    };
    let message = match kind {
        0..=2 => Message::Request,
        3..=5 => Message::Response,
        6 => {
            let (Ok(name), Ok(value)) = (str::from_utf8(name), str::from_utf8(value)) else {
                return Ok(Err(HeaderError::InvalidValue));
            };
            let (name, value) = (name.into(), value.into());
            store.data_mut().leave_attribute(name, value);
            return Ok(Ok(()));
        }
        _ => return Err(wasmtime::Error::msg("there is no such kind of edit")),
    };
    let edit = match kind % 3 {
        0 => FieldEdit::set(value),
        1 => FieldEdit::append(value),
        _ => Ok(FieldEdit::Remove),
    };
    let field = match store.data().names(message).get(name) {
        Some(known) => known,
        None => {
            let name = name.to_vec();
            match store.data_mut().editable(message, &name) {
                Ok(field) => field,
                Err(why) => return Ok(Err(why)),
            }
        }
    };
    Ok(edit.and_then(|edit| store.data_mut().edit(message, field, edit)))
}
