//! `edits`: many edits in one call. Bound by hand and not by `bindgen!`, which would copy every name and value before
//! they are looked at: here they are read where they lie in the guest's memory.

use std::str;

use wasmtime::component::{ComponentType, Linker, Lower, WasmList};
use wasmtime::{AsContext, StoreContextMut};

use super::bindings::gateway::plugin::exchange::HeaderError;
use super::fields::FieldEdit;
use super::guest::Guest;
use crate::message::phase::Direction;
use crate::plugin::failure::Stop;
use crate::plugin::grants::VERSION;

/// Edits of one call, and bytes of their text: nothing else runs on the worker while the host makes them.
const EDITS: usize = 4_096;
const TEXT: usize = 2 << 20;

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
        .func_wrap("apply", apply)
}

/// The two lists are copied as they lie, since what they edit is in the store as well.
fn apply(
    mut store: StoreContextMut<'_, Guest>,
    (edits, text): (WasmList<u32>, WasmList<u8>),
) -> wasmtime::Result<(Result<(), EditError>,)> {
    if edits.len() / 3 > EDITS || text.len() > TEXT {
        return Err(Stop::Edits(EDITS, TEXT).into());
    }
    let edits = edits.as_le_slice(store.as_context()).to_vec();
    let text = text.as_le_slice(store.as_context()).to_vec();
    Ok((store.data_mut().apply(&edits, &text)?,))
}

impl Guest {
    /// Makes edits up to the first that is not made. Each is charged like a call of its own.
    fn apply(&mut self, edits: &[u32], mut text: &[u8]) -> wasmtime::Result<Result<(), EditError>> {
        let (edits, rest) = edits.as_chunks::<3>();
        if !rest.is_empty() {
            return Err(wasmtime::Error::msg("an edit is three numbers"));
        }
        for (at, edit) in (0..).zip(edits) {
            self.budget.host_call()?;
            let [kind, name, value] = edit.map(u32::from_le);
            let parts = text
                .split_at_checked(name as usize)
                .and_then(|(name, rest)| {
                    let (value, rest) = rest.split_at_checked(value as usize)?;
                    Some((name, value, rest))
                });
            let Some((name, value, rest)) = parts else {
                return Err(wasmtime::Error::msg("the text is shorter than its edits"));
            };
            text = rest;
            if let Err(why) = self.apply_one(kind, name, value)? {
                return Ok(Err(EditError { at, why }));
            }
        }
        Ok(Ok(()))
    }

    fn apply_one(
        &mut self,
        kind: u32,
        name: &[u8],
        value: &[u8],
    ) -> wasmtime::Result<Result<(), HeaderError>> {
        let message = match kind {
            0..=2 => Direction::Request,
            3..=5 => Direction::Response,
            6 => {
                let (Ok(name), Ok(value)) = (str::from_utf8(name), str::from_utf8(value)) else {
                    return Ok(Err(HeaderError::InvalidValue));
                };
                self.leave_attribute(name, value);
                return Ok(Ok(()));
            }
            _ => return Err(wasmtime::Error::msg("there is no such kind of edit")),
        };
        Ok(self.edit_field(message, name, || match kind % 3 {
            0 => FieldEdit::set(value),
            1 => FieldEdit::append(value),
            _ => Ok(FieldEdit::Remove),
        }))
    }
}
