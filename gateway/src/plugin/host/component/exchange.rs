//! `exchange`.

use crate::message::phase::Direction::{Request, Response};
use crate::plugin::host::bindings::gateway::plugin::exchange::Host;
use crate::plugin::host::exchange::Edit;
use crate::plugin::host::guest::Guest;

type Fields = Vec<(String, Vec<u8>)>;

impl Host for Guest {
    fn id(&mut self) -> wasmtime::Result<String> {
        Ok(Self::id(self)?.into_owned())
    }

    fn route(&mut self) -> wasmtime::Result<String> {
        Ok(self.route_asked()?.to_owned())
    }

    fn client_address(&mut self) -> wasmtime::Result<String> {
        let address = Self::client_address(self)?;
        Ok(address
            .map(|address| address.to_string())
            .unwrap_or_default())
    }

    fn scheme(&mut self) -> wasmtime::Result<String> {
        Ok(Self::scheme(self)?.to_owned())
    }

    fn authority(&mut self) -> wasmtime::Result<String> {
        Ok(Self::authority(self)?.into_owned())
    }

    fn method(&mut self) -> wasmtime::Result<String> {
        Ok(Self::method(self)?.to_owned())
    }

    fn path(&mut self) -> wasmtime::Result<String> {
        Ok(Self::path(self)?.to_owned())
    }

    fn path_param(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        Ok(Self::path_param(self, &name)?.map(str::to_owned))
    }

    fn query_param(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        Ok(Self::query_param(self, &name)?.map(Into::into))
    }

    fn client_certificate_subject(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(Self::client_certificate_subject(self)?.map(str::to_owned))
    }

    fn remaining_ms(&mut self) -> wasmtime::Result<Option<u32>> {
        Self::remaining_ms(self)
    }

    fn call_remaining_ms(&mut self) -> wasmtime::Result<u32> {
        Self::call_remaining_ms(self)
    }

    fn request_header(&mut self, name: String) -> wasmtime::Result<Option<Vec<u8>>> {
        Ok(self.header(Request, &name)?.map(<[u8]>::to_vec))
    }

    fn request_headers(&mut self) -> wasmtime::Result<Fields> {
        self.headers(Request).map(owned)
    }

    fn set_request_header(&mut self, name: String, value: Vec<u8>) -> Edit {
        self.set_header(Request, &name, &value)
    }

    fn append_request_header(&mut self, name: String, value: Vec<u8>) -> Edit {
        self.append_header(Request, &name, &value)
    }

    fn remove_request_header(&mut self, name: String) -> Edit {
        self.remove_header(Request, &name)
    }

    fn set_method(&mut self, method: String) -> Edit {
        Self::set_method(self, &method)
    }

    fn set_path(&mut self, path: String) -> Edit {
        Self::set_path(self, &path)
    }

    fn set_upstream(&mut self, name: String) -> Edit {
        Self::set_upstream(self, &name)
    }

    fn request_body(&mut self) -> wasmtime::Result<Option<Vec<u8>>> {
        Ok(Self::request_body(self)?.map(|body| body.to_vec()))
    }

    fn set_request_body(&mut self, body: Vec<u8>) -> wasmtime::Result<()> {
        Self::set_request_body(self, body.into())
    }

    fn status(&mut self) -> wasmtime::Result<Option<u16>> {
        Self::status(self)
    }

    fn set_status(&mut self, status: u16) -> wasmtime::Result<()> {
        Self::set_status(self, status)
    }

    fn response_header(&mut self, name: String) -> wasmtime::Result<Option<Vec<u8>>> {
        Ok(self.header(Response, &name)?.map(<[u8]>::to_vec))
    }

    fn response_headers(&mut self) -> wasmtime::Result<Fields> {
        self.headers(Response).map(owned)
    }

    fn set_response_header(&mut self, name: String, value: Vec<u8>) -> Edit {
        self.set_header(Response, &name, &value)
    }

    fn append_response_header(&mut self, name: String, value: Vec<u8>) -> Edit {
        self.append_header(Response, &name, &value)
    }

    fn remove_response_header(&mut self, name: String) -> Edit {
        self.remove_header(Response, &name)
    }

    fn response_body(&mut self) -> wasmtime::Result<Option<Vec<u8>>> {
        Ok(Self::response_body(self)?.map(|body| body.to_vec()))
    }

    fn set_response_body(&mut self, body: Vec<u8>) -> wasmtime::Result<()> {
        Self::set_response_body(self, body.into())
    }

    fn attribute(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        Ok(Self::attribute(self, &name)?.map(str::to_owned))
    }

    fn set_attribute(&mut self, name: String, value: String) -> wasmtime::Result<()> {
        Self::set_attribute(self, &name, &value)
    }
}

fn owned(fields: Vec<(&str, &[u8])>) -> Fields {
    let owned = |(name, value): (&str, &[u8])| (name.to_owned(), value.to_vec());
    fields.into_iter().map(owned).collect()
}
