"""The CustomResourceDefinitions, and how they are made from the operator's typed views."""
