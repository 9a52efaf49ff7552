//! x
#![allow(missing_docs)]
use std::sync::Arc; use std::time::*; use std::net::*;
#[derive(Debug)] pub struct AccessLog;
impl AccessLog { pub fn start(_: &crate::config::AccessLog) -> std::io::Result<Arc<Self>> { Ok(Arc::new(Self)) } pub fn is_off(&self) -> bool { true } pub fn log(&self, _: &Line<'_>) {} pub fn close(&self) {} }
#[derive(Debug)] pub struct Line<'a> { pub time: SystemTime, pub id: &'a str, pub client: IpAddr, pub method: &'a str, pub path: &'a str, pub host: &'a str, pub protocol: http::Version, pub secure: bool, pub status: Option<u16>, pub bytes_in: u64, pub bytes_out: u64, pub duration: Duration, pub upstream_time: Option<Duration>, pub endpoint: Option<SocketAddr>, pub route: &'a str, pub error: Option<&'static str>, pub finished: bool, pub user_agent: Option<&'a [u8]>, pub referer: Option<&'a [u8]>, pub attributes: &'a [(Box<str>, Box<str>)] }
