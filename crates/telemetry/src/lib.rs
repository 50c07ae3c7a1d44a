//! CUO's logging to journald, a terminal or JSON.
