"""The rules of delivery: sessions and their status machine, the user's queue, versions, manifests, installations."""
