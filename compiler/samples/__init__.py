"""Sentences that come with tilewright, for calibration and the demo."""
