"""virtio 1.3: rings that two sides share by memory alone, and the devices behind them."""
