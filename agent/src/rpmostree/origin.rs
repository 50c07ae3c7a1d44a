//! What a host follows.

/// Where the booted deployment came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// `remote:branch`, or the image reference with its transport; empty for a commit without a branch.
    pub reference: String,
}

impl Origin {
    /// The update stream: last part of the branch, or tag of the image. `None` for a bare commit and for an image by digest only.
    pub fn stream(&self) -> Option<&str> {
        let named = self.reference.split_once('@');
        let named = named.map_or(self.reference.as_str(), |(named, _digest)| named);
        let (_, last) = named.rsplit_once(['/', ':'])?;
        let image = self.reference.starts_with("ostree-");
        // The last ':' of an image reference starts its tag, unless a '/' follows: then there is no tag.
        let tagged = named.rfind(':') > named.rfind('/');
        (!last.is_empty() && (!image || tagged)).then_some(last)
    }
}
