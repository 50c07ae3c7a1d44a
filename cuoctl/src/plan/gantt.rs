//! The plan as a timeline of text.

use cuo_core::time::Time;

use super::foreseen::{Foreseen, called};
use crate::print::Screen;

/// Width where none is known.
const WIDTH: usize = 100;
/// The least that is left for the timeline.
const LEAST: usize = 20;

/// A line for each reboot: `▒` while the node drains, `█` while it boots.
pub fn text(plan: &Foreseen, screen: Screen) -> String {
    let reboots = &plan.forecast.reboots;
    let Some(last) = reboots.iter().map(|reboot| reboot.done).max() else {
        return format!("No node reboots until {}.\n", plan.forecast.until);
    };
    let first = reboots.iter().map(|reboot| reboot.granted).min();
    let first = first.map_or(plan.forecast.from, |first| first.min(plan.forecast.from));
    let names = reboots.iter().map(|one| one.node.as_str().chars().count());
    let name = names.max().unwrap_or(0);
    let versions = reboots.iter().map(|one| called(one).chars().count());
    let version = versions.max().unwrap_or(0);
    let width = screen.size.map_or(WIDTH, |(width, _)| width);
    let width = width.saturating_sub(name + version + 4).max(LEAST);
    let scale = Scale { first, last, width };
    let mut text = format!("{:name$}  {:version$}  {}\n", "", "", scale.head());
    for reboot in reboots {
        let (start, drained, done) = (
            scale.column(reboot.granted),
            scale.column(reboot.drained),
            // However short it is, it is to be seen.
            scale
                .column(reboot.done)
                .max(scale.column(reboot.granted) + 1),
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

struct Scale {
    first: Time,
    last: Time,
    width: usize,
}

impl Scale {
    fn column(&self, at: Time) -> usize {
        let whole = self.last.since(self.first).as_secs().max(1);
        let part = at.since(self.first).as_secs().clamp(0, whole);
        let width = i64::try_from(self.width).unwrap_or(i64::MAX);
        usize::try_from(part.saturating_mul(width) / whole).unwrap_or(0)
    }

    /// Where the timeline begins and ends.
    fn head(&self) -> String {
        let (first, last) = (self.first.to_string(), self.last.to_string());
        let gap = self.width.saturating_sub(first.len() + last.len());
        match gap {
            0 => first,
            gap => format!("{first}{}{last}", " ".repeat(gap)),
        }
    }
}
