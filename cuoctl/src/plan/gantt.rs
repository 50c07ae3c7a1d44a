//! The plan as a timeline of text.

use super::foreseen::{Foreseen, called};
use super::scale::Scale;
use crate::print::Screen;

/// Width where none is known.
const WIDTH: usize = 100;
/// The least that is left for the timeline.
const LEAST: usize = 20;

/// A line for each reboot: `▒` while the node drains, `█` while it boots.
pub fn text(plan: &Foreseen, screen: Screen) -> String {
    let reboots = &plan.forecast.reboots;
    let Some(scale) = Scale::of(plan) else {
        return format!("No node reboots until {}.\n", plan.forecast.until);
    };
    let names = reboots.iter().map(|one| one.node.as_str().chars().count());
    let name = names.max().unwrap_or(0);
    let versions = reboots.iter().map(|one| called(one).chars().count());
    let version = versions.max().unwrap_or(0);
    let width = screen.size.map_or(WIDTH, |(width, _)| width);
    let width = width.saturating_sub(name + version + 4).max(LEAST);
    let column = |at| scale.place(at, width);
    let mut text = format!("{:name$}  {:version$}  {}\n", "", "", head(scale, width));
    for reboot in reboots {
        let (start, drained, done) = (
            column(reboot.granted),
            column(reboot.drained),
            // However short it is, it is to be seen.
            column(reboot.done).max(column(reboot.granted) + 1),
        );
        let bar: String = (0..done)
            .map(|column| match column {
                column if column < start => ' ',
                column if column < drained => '▒',
                _ => '█',
            })
            .collect();
        text += &format!(
            "{:name$}  {:version$}  {bar}\n",
            reboot.node,
            called(reboot)
        );
    }
    text
}

/// Where the timeline begins and ends.
fn head(scale: Scale, width: usize) -> String {
    let (first, last) = (scale.first.to_string(), scale.last.to_string());
    let gap = width.saturating_sub(first.len() + last.len());
    match gap {
        0 => first,
        gap => format!("{first}{}{last}", " ".repeat(gap)),
    }
}
