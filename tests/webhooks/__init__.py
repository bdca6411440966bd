"""Random histories of shops, delivered as WooCommerce and Shopify deliver them; and hostile bodies."""
