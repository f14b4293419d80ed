"""Results as things to look at: storyboard, page, captions, highlight reel."""
