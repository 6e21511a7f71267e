output "store" {
  description = "TEN_STORE"
  value       = "s3://${digitalocean_spaces_bucket.store.name}/ten"
}

output "spaces_region" {
  description = "SPACES_REGION"
  value       = digitalocean_spaces_bucket.store.region
}

output "spaces_access_key_id" {
  description = "SPACES_ACCESS_KEY_ID"
  value       = digitalocean_spaces_key.store.access_key
}

output "spaces_secret_access_key" {
  description = "SPACES_SECRET_ACCESS_KEY; `terraform output -raw spaces_secret_access_key`"
  value       = digitalocean_spaces_key.store.secret_key
  sensitive   = true
}
