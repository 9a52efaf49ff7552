//! Which parts go out together: a part that refers to others goes after them.

use gateway_plugin_sdk::ConfigError;

use crate::part::Part;

/// The parts by wave, each wave in the order of the configuration.
///
/// # Errors
/// The parts that wait for each other in a circle, or behind one.
pub(crate) fn waves(parts: &[Part]) -> Result<Vec<Vec<usize>>, Vec<usize>> {
    let mut done = vec![false; parts.len()];
    let mut waves = Vec::new();
    loop {
        let ready: Vec<usize> = (0..parts.len())
            .filter(|&index| !done[index] && parts[index].needs().all(|need| done[need]))
            .collect();
        if ready.is_empty() {
            break;
        }
        for &index in &ready {
            done[index] = true;
        }
        waves.push(ready);
    }
    let stuck: Vec<usize> = (0..parts.len()).filter(|&index| !done[index]).collect();
    if stuck.is_empty() {
        Ok(waves)
    } else {
        Err(stuck)
    }
}

/// The fault of parts that wait for each other, at the first of them.
pub(crate) fn cycle_fault(parts: &[Part], stuck: &[usize]) -> Option<ConfigError> {
    let first = stuck.first()?;
    let names: Vec<_> = stuck
        .iter()
        .map(|&index| parts[index].name.as_str())
        .collect();
    let fault = format!(
        "the parts `{}` wait for each other in a circle; one of them has to do without the others",
        names.join("`, `")
    );
    Some(ConfigError::new(format!("parts[{first}]"), fault))
}
