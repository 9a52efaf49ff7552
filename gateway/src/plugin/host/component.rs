//! How a guest's calls reach the host through the component model: arguments are lifted out of the guest's memory into
//! values of their own, and answers are lowered into it. What a call does stands in the files beside this folder, and
//! knows nothing of it; another way to call the same functions would stand here.

mod exchange;
mod state;
mod telemetry;
mod upstream;
