"""What a data gate asks of every volume: figures about one case's image, label and anatomy, and about the cohort."""
