variable "bucket" {
  description = "Name of the bucket for packs and runs; no dots, unique in its region."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "A bucket's name is 3 to 63 of a-z, 0-9 and -."
  }
}

variable "region" {
  description = "Region of the bucket. Traffic to droplets of the same region is free."
  type        = string
  default     = "tor1"
}

variable "ssh_public_key" {
  description = "File of the public key with which droplets are logged in to."
  type        = string
  default     = "~/.ssh/id_ed25519.pub"
}

variable "ssh_from" {
  description = "Addresses that may open ssh connections to droplets."
  type        = list(string)
  default     = ["0.0.0.0/0", "::/0"]
}
