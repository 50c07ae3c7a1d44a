//! What the operator writes on a Node, put into a view as the API server would: tests use it in place of text.

// Tests of the crate itself include this, too, and name these in their own way.
use super::{Allotted, Field, NodeView, OperatorFields};

/// `node` after the write.
pub fn apply(want: &Allotted, node: &mut NodeView) {
    fn field<T: Clone>(want: Option<&T>) -> Field<T> {
        want.map_or(Field::Absent, |want| Field::Value(want.clone()))
    }
    let granted = want.granted.clone().map(Field::Value);
    node.operator = OperatorFields {
        reserved: field(want.reserved.as_ref()),
        grant: field(want.grant.as_ref()),
        granted: granted.unwrap_or_else(|| node.operator.granted.clone()),
        assigned: match &want.assigned {
            Some(assigned) => field(assigned.as_ref()),
            None => node.operator.assigned.clone(),
        },
        only_node: want.only_node.unwrap_or(node.operator.only_node),
        before: want.before,
        after: want.after,
    };
    node.others.retain(|name, _| !want.reset.contains(name));
}
